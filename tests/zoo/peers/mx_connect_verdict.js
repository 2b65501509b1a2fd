// mx-connect: whether it would connect to an MX host. Arguments and output as mta_sts_query.py.
'use strict';

const fs = require('node:fs');
const mxConnect = require('mx-connect');

async function verdict(domain) {
    try {
        const { socket } = await mxConnect({ target: domain, mtaSts: { enabled: true }, maxConnectTime: 20000 });
        socket.destroy();
        return 'connects';
    } catch (error) {
        return 'refuses';
    }
}

async function main() {
    const domains = fs.readFileSync(process.argv[2], 'ascii').split('\n').filter(Boolean);
    const verdicts = new Map();
    const queue = [...domains];
    const worker = async () => {
        for (let domain; (domain = queue.shift()); ) {
            verdicts.set(domain, await verdict(domain));
        }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    for (const domain of domains) {
        console.log(`${domain}\t${verdicts.get(domain)}`);
    }
    process.exit(0);
}

main();
