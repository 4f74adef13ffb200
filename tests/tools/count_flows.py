#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what is in flow log files, as an independent witness of the decoder: stdlib only, written from the formats
(README's list of inputs), not from the C code.

Usage: tests/tools/count_flows.py FILE...    prints one JSON object per file, keys as in `segwatch replay --summary`

How it works: the text is read as a sequence of JSON values with json.JSONDecoder.raw_decode; what stands between them
tells where one message ends. A record is a dict that is none of the known envelopes; each is turned into a list of
tuples with names, and counted from there. Equal records (same kind, sensor, time, rules, tuples) count once in the
tuple counters."""
import datetime
import gzip
import ipaddress
import json
import re
import sys

KEYS = ["messages", "message_errors", "records", "records_duplicate", "records_skipped", "record_errors", "tuples",
        "tuples_begin", "tuples_continue", "tuples_end", "tuples_denied", "tuples_stateless", "tuple_errors",
        "packets_forward", "bytes_forward", "packets_reverse", "bytes_reverse"]
STATE = {"B": "tuples_begin", "C": "tuples_continue", "E": "tuples_end", "D": "tuples_denied"}
SECONDS_BELOW = 10 ** 11
FIRST, LAST = 978307200000, 4102444800000
NOTICE = {"NetworkSecurityGroupEvent", "NetworkSecurityGroupRuleCounter"}


class Bad(Exception):
    """A tuple that cannot be read."""


def when(text):
    """A record's time in whole milliseconds, None if it is not one."""
    if not isinstance(text, str):
        return None
    m = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", text)
    if not m:
        return None
    zone = m[4] if m[4] and m[4] != "Z" else "+00:00"
    try:
        t = datetime.datetime.fromisoformat(f"{m[1]}T{m[2]}{zone}")
    except ValueError:
        return None
    return int(t.timestamp()) * 1000 + int(((m[3] or "") + "000")[:3])


def natural(text, most):
    if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII) or int(text) > most:
        raise Bad(text)
    return int(text)


def instant(text):
    v = natural(text, 2 ** 64 - 1)
    v = v * 1000 if v < SECONDS_BELOW else v
    if not FIRST <= v < LAST:
        raise Bad(text)
    return v


def address(text):
    try:
        if "%" in text:
            raise Bad(text)
        a = ipaddress.ip_address(text)
    except ValueError:
        raise Bad(text) from None
    return str(getattr(a, "ipv4_mapped", None) or a)


def choice(text, allowed):
    if text not in allowed or not text:
        raise Bad(text)
    return text


def flow(kind, fields):
    """One tuple from its fields; kind is "vnet" or "nsg"."""
    if not (len(fields) == 13 or (kind == "nsg" and len(fields) == 8)):
        raise Bad(len(fields))
    five = [instant(fields[0]), address(fields[1]), address(fields[2]), natural(fields[3], 65535), natural(fields[4], 65535)]
    if kind == "vnet":
        five.append(natural(fields[5], 255))
        direction, state, more = choice(fields[6], "IO"), choice(fields[7], "BCED"), fields[8]
        counted = STATE[state]
    else:
        five.append({"T": 6, "U": 17}[choice(fields[5], "TU")])
        direction, decision, more = choice(fields[6], "IO"), choice(fields[7], "AD"), ""
        if decision == "D":
            counted = "tuples_denied"
        elif len(fields) == 8:
            counted = "tuples_stateless"
        else:
            counted = STATE[choice(fields[8], "BCE")]
    numbers = [natural(x, 2 ** 64 - 1) if x else None for x in fields[9:13]] if len(fields) == 13 else [None] * 4
    return counted, tuple(five), direction, more, tuple(numbers)


def dicts(x):
    return [y for y in x if isinstance(y, dict)] if isinstance(x, list) else []


def lower(x):
    return x.lower() if isinstance(x, str) else ""


def mac(*texts):
    for t in texts:
        digits = re.sub(r"[-:.]", "", t) if isinstance(t, str) else ""
        if re.fullmatch(r"[0-9A-Fa-f]{12}", digits):
            return digits.lower()
    return ""


def nested(record):
    """(kind, sensor, [(acl, rule, format, [text])]) of the two formats that Azure writes; None for others."""
    category = record.get("category")
    inner = record.get("flowRecords")
    if isinstance(inner, dict) and isinstance(inner.get("flows"), list) and category in (None, "FlowLogFlowEvent"):
        groups = [(lower(f.get("aclID")), lower(g.get("rule")), "vnet", g.get("flowTuples") or [])
                  for f in dicts(inner["flows"]) for g in dicts(f.get("flowGroups"))]
        log = record.get("flowLogResourceID") or record.get("flowLogGUID")
        return "vnet", (lower(log), mac(record.get("macAddress"))), groups
    inner = record.get("properties")
    if isinstance(inner, dict) and isinstance(inner.get("flows"), list) and category in (None, "NetworkSecurityGroupFlowEvent"):
        groups = [("", lower(r.get("rule")), "nsg", f.get("flowTuples") or [])
                  for r in dicts(inner["flows"]) for f in dicts(r.get("flows"))]
        macs = [f.get("mac") for r in dicts(inner["flows"]) for f in dicts(r.get("flows"))]
        log = record.get("resourceId") or record.get("resourceid") or record.get("systemId")
        return "nsg", (lower(log), mac(record.get("macAddress"), *macs)), groups
    return None


def flat(record):
    """The same for records of one tuple each."""
    rule = lower(record.get("nsgRuleName") or record.get("rule"))
    log = record.get("resourceId") or record.get("resourceid") or record.get("systemId")
    if isinstance(record.get("nsgRuleName"), str) and "sourceAddress" in record:
        names = ["startTime", "sourceAddress", "destinationAddress", "sourcePort", "destinationPort", "transportProtocol",
                 "deviceDirection", "deviceAction"]
        counters = ["packetsStoD", "bytesStoD", "packetsDtoS", "bytesDtoS"]
        fields = [str(record.get(n, "")) for n in names]
        if record.get("flowState"):
            fields += [record["flowState"]] + [str(record.get(n, "")) for n in counters]
        return "connector", (lower(log), mac(record.get("macAddress"), record.get("mac"))), [("", rule, "nsg", [",".join(fields)])]
    if isinstance(record.get("flow.0"), str) and "rule" in record:
        nsg = record.get("operationName") == "NetworkSecurityGroupFlowEvents"
        if not nsg and {"flowLogVersion", "flowLogGUID", "aclID"} & record.keys():
            log = record.get("flowLogResourceID") or record.get("flowLogGUID")
            return "flat vnet", (lower(log), mac(record.get("macAddress"))), [
                (lower(record.get("aclID")), rule, "vnet", [record["flow.0"]])]
        return "flat nsg", (lower(log), mac(record.get("macAddress"))), [
            (lower(record.get("aclID")), rule, "nsg", [record["flow.0"]])]
    return None


def carries_no_flows(record):
    return (record.get("category") in NOTICE or record.get("Type") == "NTANetAnalytics" or "FaSchemaVersion" in record
            or "Microsoft.Storage.BlobCreated" in (record.get("eventType"), record.get("type"))
            or str(record.get("subject", "")).endswith("PT1H.json"))


class Counter:
    def __init__(self):
        self.n = dict.fromkeys(KEYS, 0)
        self.seen = set()

    def record(self, record):
        """True if it could be used."""
        parts = isinstance(record, dict) and (nested(record) or flat(record))
        if not parts:
            if isinstance(record, dict) and carries_no_flows(record):
                self.n["records_skipped"] += 1
                return True
            self.n["record_errors"] += 1
            return False
        kind, sensor, groups = parts
        read = []
        for acl, rule, form, texts in groups:
            good = []
            for text in texts:
                try:
                    if not isinstance(text, str):
                        raise Bad(text)
                    good.append(flow(form, text.split(",")))
                except Bad:
                    self.n["tuple_errors"] += 1
            if good:
                read.append((acl, rule, tuple(good)))
        self.n["records"] += 1
        same = (kind, sensor, when(record.get("time")), tuple(read))
        if same in self.seen:
            self.n["records_duplicate"] += 1
            return True
        self.seen.add(same)
        for counted, _, _, _, numbers in (t for _, _, tuples in read for t in tuples):
            self.n["tuples"] += 1
            self.n[counted] += 1
            for key, v in zip(KEYS[-4:], numbers):
                self.n[key] += v or 0
        return True

    def value(self, value):
        """(used, faults) of a value: an envelope is entered, everything else is a record."""
        if isinstance(value, dict) and isinstance(value.get("records"), list):
            value = value["records"]
        if isinstance(value, list):
            inner = [self.value(v) for v in value]
            return sum(i[0] for i in inner), sum(i[1] for i in inner)
        good = self.record(value)
        return good, not good


def messages(text):
    """Yields lists of values, one list per message: values joined by commas, or cut-off envelopes around them."""
    decoder = json.JSONDecoder()
    at, current, joined = 0, None, False
    while True:
        gap = re.compile(r"[\s,\]}]*").match(text, at)
        at = gap.end()
        if current is not None and gap.group().strip() != "":
            joined = gap.group().rstrip().endswith(",")
        if at == len(text):
            if current is not None:
                yield current
            return
        if current is None:
            current = []
        elif not joined:
            yield current
            current = []
        joined = False
        try:
            value, at = decoder.raw_decode(text, at)
            current.append(value)
        except ValueError:
            opener = re.compile(r'\{\s*"records"\s*:\s*\[|\[').match(text, at)
            if opener:  # its closer is missing: take what is inside
                at, joined = opener.end(), True
                continue
            current.append(None)
            yield current
            line = re.compile(r"\n(?=[\[{])").search(text, at)
            if not line:
                return
            at, current = line.end(), None


def count(path):
    data = open(path, "rb").read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = data.decode("utf-8-sig", errors="surrogateescape")
    c = Counter()
    for values in messages(text):
        c.n["messages"] += 1
        results = [c.value(v) for v in values]
        if sum(r[1] for r in results) and not sum(r[0] for r in results):
            c.n["message_errors"] += 1
    return c.n


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        print(json.dumps(count(path)))


if __name__ == "__main__":
    main()
