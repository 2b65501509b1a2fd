// mailauth, which WildDuck, ZoneMTA and mx-connect build upon. Arguments and output as mta_sts_query.py.
'use strict';

const fs = require('node:fs');
const { getPolicy } = require('mailauth/lib/mta-sts');

async function verdict(domain) {
    try {
        const { policy, status } = await getPolicy(domain);
        if (policy && policy.mode) {
            return status === 'not_found' ? 'no policy' : status === 'errored' ? 'error' : policy.mode;
        }
        return status === 'not_found' ? 'no policy' : 'error';
    } catch (error) {
        return 'error';
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
