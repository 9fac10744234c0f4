"""Entry point of the ``metserve`` command."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from cli.supervisor import GRACE_S, ROLES, run_further_doors, supervise
from core import settings
from core.audit import AuditKind
from core.clock import utc_now
from core.errors import InvalidInput, MetserveError, UnsuitableStudy
from core.logs import configure_logs
from core.pulse import SILENT_LIMIT_S, check_pulse
from core.settings import (
    AccessSettings,
    ApiSettings,
    AuditSettings,
    CommonSettings,
    DeliverySettings,
    ReceiverSettings,
    TlsSettings,
    WorkerSettings,
    check_names,
    load,
)
from core.signals import stop_on_signals
from service.access.principal import Role

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find, outline and measure brain metastases on SRS planning MRI. Research use only.",
)
models_app = typer.Typer(no_args_is_help=True, help="The model set: what it is and whether it is whole.")
app.add_typer(models_app, name="models")
key_app = typer.Typer(no_args_is_help=True, help="Keys of programs that use REST and DICOMweb.")
app.add_typer(key_app, name="key")
audit_app = typer.Typer(no_args_is_help=True, help="The audit trail: whether it is whole, and what it holds.")
app.add_typer(audit_app, name="audit")

EXIT_INVALID_INPUT = 2
EXIT_UNSUITABLE = 3
EXIT_FAILED = 1

Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]


@contextmanager
def explained() -> Iterator[None]:
    """Turn our own errors into a message and an exit status instead of a traceback."""
    console = Console(stderr=True)
    try:
        yield
    except UnsuitableStudy as error:
        console.print(f"[bold]unsuitable[/bold] ({error.reason}): {escape(error.message)}", highlight=False)
        raise typer.Exit(EXIT_UNSUITABLE) from error
    except InvalidInput as error:
        console.print(f"[bold red]error[/bold red]: {escape(str(error))}", highlight=False)
        raise typer.Exit(EXIT_INVALID_INPUT) from error
    except MetserveError as error:
        console.print(f"[bold red]failed[/bold red]: {escape(str(error))}", highlight=False)
        raise typer.Exit(EXIT_FAILED) from error
    except (OSError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error  # the driver's words, without the statement
        console.print(f"[bold red]failed[/bold red]: {type(error).__name__}: {escape(str(cause))}")
        raise typer.Exit(EXIT_FAILED) from error
    except ModuleNotFoundError as error:
        extras = {
            "onnxruntime": "worker-cpu", "SimpleITK": "worker-cpu", "highdicom": "worker-cpu",
            "matplotlib": "evaluation", "jinja2": "evaluation",
        }  # fmt: skip
        extra = extras.get(error.name or "", "service")
        console.print(
            f"[bold red]error[/bold red]: {error}; install it with: pip install 'metserve\\[{extra}]'"
        )
        raise typer.Exit(EXIT_INVALID_INPUT) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("metserve"))
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find, outline and measure brain metastases on SRS planning MRI. Research use only."""


@app.command()
@explained()
def up() -> None:
    """Run everything in one go: receiver, REST, worker and delivery, embedded unless set otherwise."""
    from service.access.exposure import check_exposure

    common = _enter_role()
    configure_logs(common, "up")
    for role in settings.ROLE_SETTINGS:
        load(role)  # a wrong setting is told once, here, not by a role that keeps ending
    check_exposure(load(ApiSettings), load(AccessSettings))
    supervise(ROLES, stop_on_signals())


@app.command()
@explained()
def receive(supervised: Supervised = False) -> None:
    """Run the Storage SCP and the coordinator that turns complete studies into jobs."""
    from service.main import load_receive_settings, run_receiver

    settings = load_receive_settings(_enter_role(supervised=supervised))
    run_receiver(
        settings, further_doors=lambda stop: run_further_doors(settings.receiver.processes - 1, stop)
    )


@app.command(hidden=True)
@explained()
def door(supervised: Supervised = False) -> None:
    """Receive beside `metserve receive`, which starts this."""
    from service.main import load_receive_settings, run_door

    run_door(load_receive_settings(_enter_role(supervised=supervised)))


@app.command()
@explained()
def api(supervised: Supervised = False) -> None:
    """Run the REST server."""
    from service.main import ApiRoleSettings, run_api

    common = _enter_role(supervised=supervised)
    run_api(
        ApiRoleSettings(
            common,
            load(ApiSettings),
            load(AccessSettings),
            load(DeliverySettings),
            load(ReceiverSettings),
            load(AuditSettings),
        )
    )


@app.command()
@explained()
def deliver(supervised: Supervised = False) -> None:
    """Run the delivery of results to their destinations."""
    from service.main import DeliverRoleSettings, run_delivery

    common = _enter_role(supervised=supervised)
    run_delivery(DeliverRoleSettings(common, load(DeliverySettings), load(TlsSettings), load(AuditSettings)))


@app.command()
@explained()
def upkeep(supervised: Supervised = False) -> None:
    """Run upkeep: retention, sending the audit trail on, alerts, the canary."""
    from service.main import load_upkeep_settings, run_upkeep

    common = _enter_role(supervised=supervised)
    run_upkeep(load_upkeep_settings(common))


@app.command()
@explained()
def purge(
    older_than_days: Annotated[
        float, typer.Option("--older-than", min=0, help="Days since everything about the study was done.")
    ],
    study: Annotated[str | None, typer.Option(help="Only this Study Instance UID.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --study: although a delivery did not arrive.")
    ] = False,
) -> None:
    """Remove images and results of finished studies; say what stays and why."""
    from cli.purge import purge as purge_studies
    from service.main import open_retention_by_hand

    retention = open_retention_by_hand(_enter_role(), load(DeliverySettings), load(AuditSettings))
    purge_studies(
        retention,
        Console(),
        older_than_days=older_than_days,
        study_instance_uid=study,
        dry_run=dry_run,
        force=force,
    )


@app.command()
@explained()
def work(supervised: Supervised = False) -> None:
    """Run a worker: registration, inference, encoding."""
    from worker.main import run_worker

    run_worker(_enter_role(supervised=supervised), load(WorkerSettings))


@app.command()
@explained()
def health(
    role: Annotated[Literal["work"], typer.Argument(help="A role that has no port to ask at.")] = "work",
    silent_limit_s: Annotated[
        float, typer.Option("--silent-limit", help="Seconds after which its loop counts as hanging.")
    ] = SILENT_LIMIT_S,
) -> None:
    """Tell whether a role's process on this host lives and its loop turns; status 1 when not."""
    check_pulse(load(CommonSettings).data_dir, role, utc_now(), silent_limit_s=silent_limit_s)


@app.command()
@explained()
def analyze(
    folder: Annotated[Path, typer.Argument(help="Folder with one study's DICOM files, at any depth.")],
    out: Annotated[Path, typer.Option("--out", help="Where the DICOM objects and findings.json go.")],
    profile: Annotated[
        str | None, typer.Option(help="Inference profile; default: as set, else full.")
    ] = None,
) -> None:
    """Analyse a folder of DICOM files, without any network."""
    from cli.analyze import analyze_folder

    overrides = {"profile": profile} if profile else {}
    analyze_folder(folder, out, load(CommonSettings), load(WorkerSettings, **overrides), Console())


@app.command()
@explained()
def send(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM files, at any depth.")],
    host: Annotated[str, typer.Option(help="The peer's host.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The peer's TCP port.")] = 11112,
    called_ae: Annotated[str, typer.Option(help="The peer's AE title.")] = "METSERVE",
    calling_ae: Annotated[str, typer.Option(help="Our AE title.")] = "METSERVE_SCU",
) -> None:
    """Send DICOM files to a peer by C-STORE."""
    from cli.send import send_folder

    send_folder(folder, host=host, port=port, called_ae=called_ae, calling_ae=calling_ae, console=Console())


@app.command()
@explained()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the study and its results go.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Any number; the same one gives the same study.")] = 0,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Build on this T1 series (DICOM) instead of the MNI152 head."),
    ] = None,
    spacing: Annotated[
        tuple[float, float, float], typer.Option(help="Slice, row and column spacing in mm.")
    ] = (1.0, 1.0, 1.0),
    oblique_deg: Annotated[float, typer.Option(help="Tilt of the slices in degrees.")] = 0.0,
    profile: Annotated[str | None, typer.Option(help="Inference profile of the embedded service.")] = None,
) -> None:
    """Send a study with known lesions through the service and compare found with inserted."""
    from cli.demo import run_demo
    from cli.demo_study import DemoRequest

    request = DemoRequest(out, seed, source, spacing, oblique_deg, profile)
    if not run_demo(request, Console()):
        raise typer.Exit(EXIT_FAILED)


@app.command()
@explained()
def canary(out: Annotated[Path, typer.Argument(help="Folder for the study and its answer.")]) -> None:
    """Make the study that upkeep sends regularly to see that everything works (needs the phantom extra)."""
    from cli.canary import make_canary

    make_canary(out, Console())


@app.command()
@explained()
def evaluate(
    cohort: Annotated[Path, typer.Option(help="TOML file of synthetic studies, or folder of real ones.")],
    out: Annotated[Path, typer.Option("--out", help="Where results and the cache of inferred studies go.")],
    models: Annotated[Path | None, typer.Option(help="Folder with ensemble.toml; default: as set.")] = None,
    profile: Annotated[str, typer.Option(help="Inference profile.")] = "full",
    precision: Annotated[str, typer.Option(help="f32, as the service, or bf16 (OpenVINO).")] = "f32",
    anatomy: Annotated[
        Path | None, typer.Option(help="Label maps of the synthetic heads; default: the public template.")
    ] = None,
    keep_studies: Annotated[
        Path | None, typer.Option(help="Keep synthetic studies here for the next evaluation (40 MB each).")
    ] = None,
    stress: Annotated[
        Path | None, typer.Option(help="A harder cohort as well, summarised by kind of study.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many studies of each.")] = None,
    cases: Annotated[str, typer.Option(help="Only these studies, names with commas between.")] = "",
    shard: Annotated[
        str, typer.Option(help="Only infer one part of the studies, as 1/2, and measure nothing.")
    ] = "",
    max_fp_per_scan: Annotated[
        float, typer.Option(min=0, help="False positives a scan for the suggested operating points.")
    ] = 0.5,
) -> None:
    """Measure the model set on studies with known lesions; goes on where it was cut short."""
    from cli.evaluate import EvaluationRequest, parse_precision, run_evaluation
    from evaluation.cohorts.opening import Shard

    request = EvaluationRequest(
        cohort=cohort,
        out=out,
        profile=profile,
        precision=parse_precision(precision),
        anatomy=anatomy,
        keep_studies=keep_studies,
        stress=stress,
        limit=limit,
        cases=tuple(name for name in cases.split(",") if name),
        shard=Shard.parse(shard) if shard else None,
        max_fp_per_scan=max_fp_per_scan,
    )
    overrides = {"models_dir": models} if models else {}
    run_evaluation(request, load(WorkerSettings, **overrides), Console())


@models_app.command("verify")
@explained()
def models_verify(
    models_dir: Annotated[
        Path | None, typer.Option(help="Folder with ensemble.toml; default: as set.")
    ] = None,
) -> None:
    """Check every file of the model set against its digest and print what the set is."""
    from cli.models import verify

    configured = load(WorkerSettings).models_dir
    verify(models_dir or configured or settings.bundled_models_dir(), Console())


@key_app.command("create")
@explained()
def key_create(
    name: Annotated[str, typer.Option(help="Which program uses it; stands in the audit trail.")],
    role: Annotated[list[Role], typer.Option(help="What it may do; again for another.")],
    source: Annotated[
        list[str] | None, typer.Option(help="Only studies that this AE title sent; again for another.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="A date (2027-01-31) or days (90d).")] = None,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    from cli import keys
    from service.main import open_keys

    request = keys.key_request(name, role, source or (), expires, utc_now())
    with open_keys(_enter_role(), load(AuditSettings)) as (book, audit):
        keys.create(book, request, audit, Console())


@key_app.command("list")
@explained()
def key_list() -> None:
    """List every key, without its secret."""
    from cli import keys
    from service.main import open_keys

    with open_keys(_enter_role(), load(AuditSettings)) as (book, _):
        keys.show(book, utc_now, Console())


@key_app.command("revoke")
@explained()
def key_revoke(key_id: Annotated[str, typer.Argument(help="As `metserve key list` shows it.")]) -> None:
    """Let a key open nothing from now on."""
    from cli import keys
    from service.main import open_keys

    with open_keys(_enter_role(), load(AuditSettings)) as (book, audit):
        keys.revoke(book, key_id, audit, Console())


AuditKindOption = Annotated[AuditKind | None, typer.Option(help="Only this kind.")]
Since = Annotated[str | None, typer.Option(help="Recorded at or after this date or time (UTC).")]
Until = Annotated[str | None, typer.Option(help="Recorded before this date or time (UTC).")]


@audit_app.command("verify")
@explained()
def audit_verify() -> None:
    """Check that no message was changed, moved or removed; status 1 when one was."""
    from cli import audit
    from service.main.audit import open_trail

    with open_trail(_enter_role(), load(AuditSettings)) as (sessions, _):
        audit.check(sessions, Console())


@audit_app.command("list")
@explained()
def audit_list(
    kind: AuditKindOption = None,
    since: Since = None,
    until: Until = None,
    after: Annotated[int, typer.Option(min=0, help="Only messages behind this position.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
) -> None:
    """List messages, oldest first."""
    from cli import audit
    from service.audit.reading import TrailFilter
    from service.main.audit import open_trail

    span = audit.moment(since, "--since"), audit.moment(until, "--until")
    with open_trail(_enter_role(), load(AuditSettings)) as (sessions, trail):
        audit.show(sessions, trail, TrailFilter(after, kind, *span), limit, Console())


@audit_app.command("export")
@explained()
def audit_export(
    out: Annotated[Path, typer.Option("--out", help="New file; it will name patients.")],
    kind: AuditKindOption = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write messages into a file, one XML document (DICOM PS3.15 A.5) a line."""
    from cli import audit
    from service.audit.reading import TrailFilter
    from service.main.audit import open_trail

    span = audit.moment(since, "--since"), audit.moment(until, "--until")
    with open_trail(_enter_role(), load(AuditSettings)) as (sessions, trail):
        audit.export(sessions, trail, TrailFilter(0, kind, *span), out, Console())


def _enter_role(*, supervised: bool = False) -> CommonSettings:
    """Do what every role does first: check the settings' names, keep its files to itself."""
    check_names()
    os.umask(0o077)  # studies, database and logs are readable by their owner only
    if supervised:
        _end_with_supervisor()
    return load(CommonSettings)


def _end_with_supervisor() -> None:
    """End this process when the supervisor is gone: its end of our standard input closes."""

    def wait() -> None:
        # The descriptor, not sys.stdin: a worker child would inherit that object's lock, held for ever.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os.killpg(0, signal.SIGKILL)  # the supervisor made us the leader of a group of our own

    threading.Thread(target=wait, name="supervisor-watch", daemon=True).start()


if __name__ == "__main__":
    app()
