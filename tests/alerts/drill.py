#!/usr/bin/env python3
"""Records the series of the files beside this one.

  drill.py PROGRAM DRILL >series.yml

Runs three instances of PROGRAM (boxoffice) over MariaDB and Redis, with the configurations of docs/operations for HAProxy and
Prometheus. Buyers come in a small sale, one thing goes wrong after a minute, and is repaired. Prints what Prometheus scraped
of the metrics that docs/operations/alerts.yml reads, one value each 5 s, as input_series for promtool, and on the standard
error when each alert began to wait, fired and ended. The servers are those of tests/servers/install.
"""
import json, os, pathlib, random, re, shutil, socket, subprocess, sys, tempfile, threading, time
import http.client, urllib.parse, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPERATIONS, SERVERS = ROOT / "docs/operations", ROOT / "tests/servers"
NAMES = ["one", "two", "three"]
STEP = 5
BUYERS, ACCOUNTS = 8, 3000
# What goes wrong when, in seconds from the begin: (second, method of `World`, arguments).
DRILLS = {
    "calm": (300, []),
    "database": (330, [(60, "ask", ("database", "kill")), (190, "ask", ("database", "start"))]),
    "redis": (240, [(60, "ask", ("redis", "kill")), (150, "ask", ("redis", "start"))]),
    "instance": (330, [(60, "kill", (1,)), (210, "start_instance", (1,))]),
    "gateway": (330, [(60, "set_amount", (504,)), (180, "set_amount", (0,))]),
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, is_so, seconds=120):
    for _ in range(seconds * 10):
        if is_so():
            return
        time.sleep(0.1)
    raise SystemExit(f"{what} did not happen within {seconds} s")


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class World:
    """The servers, and the instances."""

    def __init__(self, program, folder):
        self.program, self.folder, self.processes, self.kept = program, folder, [], {}
        self.ports = {name: (free_port(), free_port()) for name in NAMES}
        self.instances = {}
        self.amount_ends_in = 0
        (folder / "init.sql").write_text("CREATE DATABASE IF NOT EXISTS boxoffice;\n")
        self.database = self.keep("database", "mariadb", f"--init-file={folder}/init.sql")
        self.redis = self.keep("redis", "redis")
        self.run("keys", "rotate", "--keys-file", str(folder / "keys.json"))
        for index in range(len(NAMES)):
            self.start_instance(index)
        self.proxy, self.proxy_metrics = free_port(), free_port()
        self.begin(SERVERS / "balance", "haproxy", self.written("haproxy.cfg", self.haproxy()))
        self.prometheus = free_port()
        self.begin(
            SERVERS / "monitor", "prometheus", f"--config.file={self.written('prometheus.yml', self.scrapes())}",
            f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{self.prometheus}", "--log.level=warn")
        for port in [self.proxy, self.prometheus]:
            until(f"port {port}", lambda: listens(port))
        until("three instances", lambda: self.value('sum(haproxy_backend_active_servers{proxy="boxoffice"})') == 3)

    def settings(self, name=None):
        settings = {
            "DATABASE": f"mysql://boxoffice:boxoffice@127.0.0.1:{self.database}/boxoffice",
            "WAITING_ROOM": f"redis://127.0.0.1:{self.redis}", "KEYS_FILE": str(self.folder / "keys.json"),
            "DEMO": "true", "DEMO_ANYWHERE": "true", "DEMO_BUYERS": str(ACCOUNTS), "SIMULATOR_SCRIPTED_BY_AMOUNT": "true",
            "GATEWAY_TIMEOUT_MILLISECONDS": "1000", "TRUST_FORWARDED_FOR": "true", "LOG_FORMAT": "json"}
        if name:
            serve, metrics = self.ports[name]
            settings |= {"LISTEN": f"127.0.0.1:{serve}", "METRICS_LISTEN": f"127.0.0.1:{metrics}"}
        return {"PATH": os.environ["PATH"]} | {f"BOXOFFICE_{key}": value for key, value in settings.items()}

    def run(self, *arguments):
        subprocess.run([self.program, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=self.folder, env={})

    def start_instance(self, index):
        name = NAMES[index]
        log = open(self.folder / f"{name}.log", "ab")
        self.instances[name] = subprocess.Popen(
            [self.program, "serve"], env=self.settings(name), cwd=self.folder, stdout=log, stderr=log)
        until(f"instance {name}", lambda: listens(self.ports[name][0]))

    def kill(self, index):
        self.instances[NAMES[index]].kill()
        self.instances[NAMES[index]].wait()

    def set_amount(self, ending):
        self.amount_ends_in = ending

    def begin(self, *words):
        log = open(self.folder / f"{pathlib.Path(words[0]).name}-{words[1]}.log", "wb")
        self.processes.append(subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=log, stderr=log))

    def keep(self, name, kind, *options):
        port = free_port()
        self.kept[name] = subprocess.Popen(
            [str(SERVERS / "keep"), kind, str(port), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(name, "start")
        until(name, lambda: listens(port))
        return port

    def ask(self, name, command):
        self.kept[name].stdin.write(command + "\n")
        self.kept[name].stdin.flush()
        answer = self.kept[name].stdout.readline()
        if answer.startswith("failed"):
            raise SystemExit(f"{name}: {command}: {answer}")

    def written(self, name, text):
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def haproxy(self):
        text = (OPERATIONS / "haproxy.cfg").read_text()
        replaced = [
            (r"bind :80\n", f"bind 127.0.0.1:{free_port()}\n"), (r"bind :443 ssl .*\n", f"bind 127.0.0.1:{self.proxy}\n"),
            (r"bind :8405\n", f"bind 127.0.0.1:{self.proxy_metrics}\n"),
            (r"/run/haproxy/boxoffice.sock", f"{self.folder}/s")]
        replaced += [(rf"server {name} .*", f"server {name} 127.0.0.1:{self.ports[name][0]}") for name in NAMES]
        for what, by in replaced:
            text = re.sub(what, by, text)
        return text

    def scrapes(self):
        text = (OPERATIONS / "prometheus.yml").read_text()
        text = text.replace("alerts.yml", str(OPERATIONS / "alerts.yml"))
        text = re.sub(r"alerting:\n.*?\n\n", "", text, flags=re.S)
        instances = ", ".join(f'"127.0.0.1:{self.ports[name][1]}"' for name in NAMES)
        text = re.sub(r'targets: \["10.*9180"\]', f"targets: [{instances}]", text)
        return re.sub(r'targets: \["10.*8405"\]', f'targets: ["127.0.0.1:{self.proxy_metrics}"]', text)

    def ask_prometheus(self, query, at=None):
        words = {"query": query} | ({"time": at} if at else {})
        return get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{urllib.parse.urlencode(words)}")["data"]["result"]

    def value(self, query):
        result = self.ask_prometheus(query)
        return float(result[0]["value"][1]) if result else None

    def end(self):
        for instance in self.instances.values():
            instance.kill()
        for process in [*self.processes, *self.kept.values()]:
            process.stdin.close()
            process.wait()


class Buyer(threading.Thread):
    """One buyer after the other: joins, waits, holds a seat, charges and pays. Tries again when there is a failure."""
    number, seats, lock, ending = 0, [], threading.Lock(), False

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world = world

    def ask(self, method, path, body=None, **fields):
        for _ in range(200):
            if Buyer.ending:
                raise SystemExit
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.world.proxy, timeout=40)
                headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in fields.items()}
                connection.request(method, path, json.dumps(body) if body is not None else None, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status < 500:
                    return answer.status, json.loads(text or b"null")
                time.sleep(float(answer.headers.get("Retry-After", 1)))
            except (OSError, http.client.HTTPException):
                time.sleep(1)
        return 503, None

    def run(self):
        while True:
            self.buy()

    def buy(self):
        with Buyer.lock:
            Buyer.number += 1
            number, seat = Buyer.number, Buyer.seats.pop()
        login = {"login_id": f"buyer-{number:05}", "password": "buyer-password"}
        status, session = self.ask("POST", "/v1/sessions", login)
        if status != 201:
            return time.sleep(1)
        me = {"Authorization": f"Bearer {session['access_token']}"}
        status, joined = self.ask("POST", f"/v1/concerts/{CONCERT['id']}/queue", **me)
        if status >= 300:
            return time.sleep(1)
        me["Queue_Token"] = joined["token"]
        while True:
            status, place = self.ask("GET", "/v1/queue", **me)
            if status != 200 or place["status"] not in ("waiting", "active"):
                return None
            if place["status"] == "active":
                break
            time.sleep(place["poll_after_seconds"])
        wanted = {"performance_id": CONCERT["performance"], "seats": [seat]}
        status, held = self.ask("POST", "/v1/reservations", wanted, **me)
        if status != 201:
            return None
        time.sleep(random.uniform(1, 6))
        amount = held["total_amount"]
        if self.world.amount_ends_in:
            amount += (self.world.amount_ends_in - amount) % 1000
        self.ask("POST", "/v1/wallet/charges", {"amount": amount}, **me, Idempotency_Key=f"charge-{number}")
        self.ask("POST", "/v1/payments", {"reservation_id": held["id"]}, **me, Idempotency_Key=f"pay-{number}")
        return None


CONCERT = {}
DRILL = sys.argv[2]


def open_sale(world):
    """Chooses the largest hall, and the order of its seats."""
    buyer = Buyer(world)
    last = {"login_id": f"buyer-{ACCOUNTS:05}", "password": "buyer-password"}
    until("the buyers of the demo", lambda: buyer.ask("POST", "/v1/sessions", last)[0] == 201)
    _, session = buyer.ask("POST", "/v1/sessions", {"login_id": "promoter", "password": "promoter-password"})
    me = {"Authorization": f"Bearer {session['access_token']}"}
    for concert in get(f"http://127.0.0.1:{world.proxy}/v1/concerts?bookable=true")["items"]:
        _, performances = buyer.ask("GET", f"/v1/concerts/{concert['id']}/performances", **me)
        performance = performances["items"][0]["id"]
        _, seats = buyer.ask("GET", f"/v1/performances/{performance}/seats", **me)
        labels = [seat["label"] for seat in seats["seats"]]
        if len(labels) > len(Buyer.seats):
            CONCERT.update(id=concert["id"], performance=performance)
            Buyer.seats = labels
    random.Random(1).shuffle(Buyer.seats)


# --- What Prometheus has recorded -----------------------------------------------------------------------------------

def metrics_of_rules():
    rules = (OPERATIONS / "alerts.yml").read_text()
    return sorted(set(re.findall(r"\b(?:boxoffice|http|haproxy)_[a-z_]+\b", rules)) - {"boxoffice_haproxy"} | {"up"})


def is_read(labels, values):
    """Whether a rule reads a series, and it says more than another one does."""
    name, present = labels["__name__"], [value for value in values if value not in ("_", "stale")]
    is_zero = all(float(value) == 0 for value in present)
    # A quantile far below the threshold of its rule need not be exact.
    if float(labels.get("le", "+Inf")) < (0.05 if name.startswith("boxoffice_commit") else 0.5):
        return False
    if name.startswith("http_request_duration"):
        return labels.get("method") == "POST" and labels.get("route") in ("/v1/reservations", "/v1/payments")
    if name == "http_requests_total":
        return not is_zero or labels["route"] in ("/v1/reservations", "/v1/sessions") and labels["method"] == "POST"
    if name == "boxoffice_refusals_total":
        return not is_zero or f'code="{labels["code"]}"' in (OPERATIONS / "alerts.yml").read_text()
    if is_zero and DRILL != "calm":
        return False
    if name.startswith("haproxy"):
        state = labels.get("state", "DOWN")
        return labels.get("proxy") in ("public", "boxoffice") and state == "DOWN" and labels.get("code") != "other"
    return True


def compressed(values):
    """The values in the notation of promtool."""
    words, index = [], 0
    while index < len(values):
        value, end = values[index], index + 1
        if value == "stale":
            words.append(value)
        else:
            while end < len(values) and values[end] == value:
                end += 1
            words.append(value if end - index == 1 else f"{value}x{end - index - (value != '_')}")
        index = end
    return " ".join(words)


def recorded(world, begin, count):
    """Each series with its values: one for each step, `_` where there is none, `stale` where it ended."""
    found = {}
    places = {f"127.0.0.1:{world.ports[name][1]}": f"{name}:9180" for name in NAMES}
    places[f"127.0.0.1:{world.proxy_metrics}"] = "proxy:8405"
    for name in metrics_of_rules():
        for series in world.ask_prometheus(f"{name}[{(count + 1) * STEP}s]", begin + count * STEP):
            labels = series["metric"] | {"instance": places[series["metric"]["instance"]]}
            values = ["_"] * count
            for at, value in series["values"]:
                if 0 <= int((at - begin) // STEP) < count:
                    values[int((at - begin) // STEP)] = f"{float(value):.10g}"
            for index in range(1, count):
                if values[index] == "_" and values[index - 1] not in ("_", "stale"):
                    # A scrape may fall just outside its step.
                    lasts = "_" not in values[index + 1:index + 2] and index + 1 < count
                    values[index] = values[index - 1] if lasts else "stale"
            text = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels) if key != "__name__")
            if is_read(labels, values):
                found[f"{labels['__name__']}{{{text}}}"] = values
    return without_equal_buckets(found)


def without_equal_buckets(found):
    """Drops each bucket that has the values of a lower one: quantiles are the same without it."""
    kept, last = {}, {}
    bound = lambda series: float(re.search(r'le="([^"]*)"', series)[1]) if "_bucket{" in series else 0
    for series in sorted(found, key=bound):
        if "_bucket{" in series:
            of = re.sub(r'le="[^"]*",', "", series)
            if 'le="+Inf"' not in series and last.get(of) == found[series]:
                continue
            last[of] = found[series]
        kept[series] = found[series]
    return dict(sorted(kept.items()))


def report_alerts(world, begin, count):
    for series in world.ask_prometheus(f"ALERTS[{count * STEP}s]", begin + count * STEP):
        labels = series["metric"]
        times = [at - begin for at, _ in series["values"]]
        rest = {key: value for key, value in labels.items() if key not in ("__name__", "alertname", "alertstate", "severity")}
        print(f"{labels['alertname']:28} {labels['alertstate']:8} {times[0]:5.0f} … {times[-1]:5.0f} s  {rest}", file=sys.stderr)


def main():
    program = os.path.abspath(sys.argv[1])
    seconds, acts = DRILLS[DRILL]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="boxoffice-drill."))
    folder.chmod(0o700)
    world = World(program, folder)
    try:
        open_sale(world)
        for _ in range(BUYERS):
            Buyer(world).start()
        time.sleep(60)
        begin = time.time()
        for at, act, arguments in acts:
            time.sleep(max(0, begin + at - time.time()))
            getattr(world, act)(*arguments)
            print(f"{time.time() - begin:5.0f} s: {act} {arguments}", file=sys.stderr)
        time.sleep(max(0, begin + seconds + STEP - time.time()))
        count = seconds // STEP
        report_alerts(world, begin, count)
        print("    input_series:")
        for series, values in recorded(world, begin, count).items():
            print(f"      - series: '{series}'\n        values: '{compressed(values)}'")
        Buyer.ending = True
    finally:
        world.end()
        if os.environ.get("KEEP_LOGS"):
            print(folder, file=sys.stderr)
        else:
            shutil.rmtree(folder)


main()
