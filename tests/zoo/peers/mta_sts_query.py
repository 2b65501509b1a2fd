"""The resolver behind mta-sts-query and mta-sts-daemon (Debian's postfix-mta-sts-resolver).

Prints a line for each domain of the file in the first argument: the domain, a tab, a verdict.
"""

import asyncio
import logging
import sys

from postfix_mta_sts_resolver.resolver import STSFetchResult, STSResolver


async def main():
    logging.disable(logging.CRITICAL)
    # The usual limit of 4 s would make a slow machine a verdict.
    resolver = STSResolver(timeout=15, loop=asyncio.get_running_loop())
    at_once = asyncio.Semaphore(4)

    async def verdict(domain):
        async with at_once:
            result, policy = await resolver.resolve(domain)
        if result is STSFetchResult.VALID:
            return policy[1]["mode"]
        return "no policy" if result is STSFetchResult.NONE else "error"

    with open(sys.argv[1], encoding="ascii") as file:
        domains = file.read().split()
    verdicts = await asyncio.gather(*(verdict(domain) for domain in domains))
    for domain, one in zip(domains, verdicts):
        print(domain, one, sep="\t")


asyncio.run(main())
