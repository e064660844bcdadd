"""F13 The check asks by TLS and does not trust the certificate, which the service has signed for itself."""

from benchmarks.verdicts.certificates import certificate
from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    side = stage.simulator("side")
    side.secure(certificate(stage.path("side.pem")))
    return (worker("worker", spec={"checks": (Check(target=side.url, every_s=2.0),)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()


SCENARIO = Scenario(
    id="F13",
    title="a self-signed certificate on the route of the check",
    children=children,
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CHECK_FAULT, causes=("TLS", "tls")),
    action=Deed.NOTHING,
    never=(Deed.RESTART, Deed.ACTOR),
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    boots=False,
)
