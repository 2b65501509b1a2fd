"""checkdmarc's check of MTA-STS. Same arguments and output as mta_sts_query.py."""

import sys
from concurrent.futures import ThreadPoolExecutor

from checkdmarc.mta_sts import check_mta_sts, download_mta_sts_policy

# The usual limit of 2 s would make a slow machine a verdict.
download_mta_sts_policy.__kwdefaults__["http_timeout"] = 15


def verdict(domain):
    try:
        result = check_mta_sts(domain, nameservers=["127.0.0.1"], timeout=10, retries=0)
    except Exception as error:  # what it does not catch itself is no verdict, but must not end the rest
        return f"crash: {type(error).__name__}"
    if not result["valid"]:
        return "error"
    # Warnings are about taste; the policy is taken.
    return result["policy"]["mode"]


with open(sys.argv[1], encoding="ascii") as file:
    domains = file.read().split()
with ThreadPoolExecutor(4) as pool:
    for domain, one in zip(domains, pool.map(verdict, domains)):
        print(domain, one, sep="\t")
