# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka broker for tests: one node, KRaft, loopback only, gone when the block ends.

    with KafkaBroker() as broker:
        broker.plaintext            # "127.0.0.1:PORT"
        broker.sasl_ssl             # "127.0.0.1:PORT", SASL PLAIN as Event Hubs does it
        broker.connection_string()  # what the SASL listener takes as password
        broker.ca_file              # PEM of the test authority

The broker's jars come from Maven (`mvn`, package maven of Debian) once into build-kafka/ in the root of the
repository."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build-kafka"
VERSION = "4.0.2"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.10.0:copy-dependencies"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>2.0.20</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId><version>2.0.20</version></dependency>
  </dependencies>
</project>
"""
JAVA = ["java", "-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
        "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
CONNECTION_STRING = ("Endpoint=sb://segwatch-test.servicebus.windows.net/;SharedAccessKeyName=listen;"
                     "SharedAccessKey=dGVzdC1rZXktZm9yLXRoZS1sb29wYmFjay1icm9rZXI=;EntityPath={topic}")


def missing():
    """What this machine lacks, as text; None if a broker can be started."""
    for tool in ("java", "mvn", "openssl"):
        if not shutil.which(tool):
            return f"{tool} is not installed (./dev setup installs it)"
    return None


def fetch_jars():
    jars = CACHE / f"kafka-{VERSION}"
    if (jars / "complete").exists():
        return jars
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        pathlib.Path(work, "pom.xml").write_text(POM)
        for attempt in range(3):
            p = subprocess.run(["mvn", "-B", "-q", PLUGIN, f"-DoutputDirectory={work}/jars", "-DincludeScope=runtime"],
                               cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400)
            if p.returncode == 0:
                break
            time.sleep(2 * attempt)
        else:
            raise RuntimeError("mvn could not fetch the Kafka broker:\n" + p.stdout.decode(errors="replace")[-3000:])
        shutil.rmtree(jars, ignore_errors=True)
        os.replace(f"{work}/jars", jars)
        (jars / "complete").touch()
    return jars


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def run(args, **kw):
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **kw)
    if p.returncode:
        raise RuntimeError(f"{args[0]} failed: {p.stdout.decode(errors='replace')[-2000:]}")
    return p.stdout.decode(errors="replace")


class KafkaBroker:
    def __init__(self, topic="flowlogs", settings=None):
        self.topic, self.settings = topic, settings or {}
        self.process = None

    def connection_string(self, topic=None):
        return CONNECTION_STRING.format(topic=topic or self.topic)

    def __enter__(self):
        self.jars = fetch_jars()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="segwatch-kafka-"))
        try:
            self._certificates()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def _certificates(self):
        d = self.dir
        self.ca_file = str(d / "ca.pem")
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=segwatch test authority", "-keyout", str(d / "ca.key"), "-out", self.ca_file])
        run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             "/CN=127.0.0.1", "-keyout", str(d / "server.key"), "-out", str(d / "server.csr")])
        (d / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        run(["openssl", "x509", "-req", "-in", str(d / "server.csr"), "-CA", self.ca_file, "-CAkey", str(d / "ca.key"),
             "-CAcreateserial", "-days", "2", "-extfile", str(d / "san"), "-out", str(d / "server.pem")])

    def _properties(self, ports):
        plain, sasl, controller = ports
        pem = lambda name: (self.dir / name).read_text().strip().replace("\n", "\\n")
        jaas = ('org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="admin" '
                f'user_admin="admin" user_$ConnectionString="{self.connection_string()}";')
        values = {
            "process.roles": "broker,controller", "node.id": "1", "log.dirs": str(self.dir / "data"),
            "controller.quorum.voters": f"1@127.0.0.1:{controller}", "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{sasl}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT", "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": jaas,
            "ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": pem("server.pem"),
            "ssl.keystore.key": pem("server.key"), "ssl.client.auth": "none",
            "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
            "auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": "0",
            "num.network.threads": "2", "num.io.threads": "2", "log.cleaner.enable": "false",
            "log.retention.check.interval.ms": "1000", "message.max.bytes": "8388608",
            "controlled.shutdown.enable": "false",
        }
        values.update(self.settings)
        return "".join(f"{k}={v}\n" for k, v in values.items())

    def _start(self):
        ports = free_ports(3)
        self.plaintext, self.sasl_ssl = f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
        config = self.dir / "server.properties"
        config.write_text(self._properties(ports))
        self.java = JAVA + ["-cp", f"{self.jars}/*"]
        run(self.java + ["kafka.tools.StorageTool", "format", "-t", "c2Vnd2F0Y2gtdGVzdC1rZg", "-c", str(config)])
        self.log = open(self.dir / "broker.log", "wb")
        self.process = subprocess.Popen(self.java + ["kafka.Kafka", str(config)], stdout=self.log,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.dir)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                run(["kcat", "-b", self.plaintext, "-L", "-m", "2"])
                return
            except RuntimeError:
                time.sleep(0.2)
        raise RuntimeError("the Kafka broker did not start:\n" +
                           (self.dir / "broker.log").read_text(errors="replace")[-3000:])


if __name__ == "__main__":
    began = time.monotonic()
    with KafkaBroker() as broker:
        print(f"up after {time.monotonic() - began:.1f} s on {broker.plaintext} and {broker.sasl_ssl}")
        print(run(["kcat", "-b", broker.sasl_ssl, "-L", "-m", "10", "-X", "security.protocol=SASL_SSL", "-X",
                   "sasl.mechanism=PLAIN", "-X", "sasl.username=$ConnectionString", "-X",
                   f"sasl.password={broker.connection_string()}", "-X", f"ssl.ca.location={broker.ca_file}"]))
