"""I04 The certificate of the venue has expired: every call fails at the handshake, and no restart renews it."""

import ssl
import urllib.request
from typing import Any

from benchmarks.verdicts.certificates import certificate
from benchmarks.verdicts.pieces import CROWD, OTHERS, Worker, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, Dependency
from supervisor.words import VerdictKind


class SecureCaller(Worker):
    def init(self, *, url: str = "", trusted: tuple[str, ...] = (), **more: Any) -> None:
        self.url, self.trust = url, ssl.create_default_context()
        for path in trusted:
            self.trust.load_verify_locations(path)
        super().init(**more)

    def work(self) -> None:
        try:
            with urllib.request.urlopen(self.url, timeout=2.0, context=self.trust) as answer:
                answer.read()
        except OSError as error:
            self.ctx.outcome("venue", error)
            return
        self.ctx.outcome("venue")
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    venue = stage.simulator("venue")
    venue.secure(certificate(stage.path("venue.pem")))
    certificate(stage.path("expired.pem"), expired=True)
    needs = Dependency(name="venue", check=Check(kind="tcp", target=f"127.0.0.1:{venue.port}", every_s=2.0))
    trusted = tuple(str(stage.path(name)) for name in ("venue.pem", "expired.pem"))
    spec = {"depends": (needs,)}
    return (worker("client", f"{__name__}:SecureCaller", url=venue.url, trusted=trusted, spec=spec), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.simulator("venue").secure(stage.path("expired.pem"))


SCENARIO = Scenario(
    id="I04",
    title="the certificate of the venue has expired",
    children=children,
    inject=inject,
    truth=Truth(unit="client", kind=VerdictKind.UPSTREAM, causes=("tls",)),
    action=(Deed.GATE, Deed.NOTHING),
    never=(Deed.RESTART, Deed.PARK),
    healthy=OTHERS,
    within_s=20.0,
    lasts_s=45.0,
)
