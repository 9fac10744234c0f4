"""REST with access configured: the contract by schemathesis, tokens of a real provider, a browser's login."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from core.job import JobState
from tests.service.service_records import NOON, STUDY_UID, Records
from tests.system.metserve import Metserve
from tests.system.ohif import headless_browser
from tests.system.peers import REPOSITORY, START_LIMIT_S, Server, free_port, listens, running, wait_until

pytestmark = pytest.mark.system

CLIENT = "metserve"
STUDY = f"/api/v1/studies/{STUDY_UID}"
PAGE_LIMIT_MS = 60_000
REPLY_LIMIT_S = 30.0
PICTURES = os.environ.get("METSERVE_TEST_PICTURES_DIR")
"""Where a picture of the documentation page is kept, if anywhere."""

CONTRACT_LIMIT_S = 240
"""It takes half a minute alone on two cores."""


class GuardedApi(Metserve):
    """REST alone, over records that are there, asking everybody who he is."""

    def __init__(self, folder: Path, records: Records, issuer: str) -> None:
        port = free_port()
        secret = folder.with_suffix(".secret")
        secret.write_text("any will do for the mock")
        super().__init__(
            folder,
            dicom_port=free_port(),
            programs=("api",),
            api_port=port,
            data_dir=records.store.root,
            database_url=str(records.engine.url),
            access_api_keys="true",
            access_requests_per_minute=10_000_000,
            access_failures_per_minute=10_000_000,
            access_oidc_issuer=issuer,
            access_oidc_audience=CLIENT,
            access_login_client_id=CLIENT,
            access_login_client_secret_file=secret,
            access_login_public_url=f"http://localhost:{port}",
        )
        self.port = port
        self.url = f"http://localhost:{port}"

    def wait_for_receiver(self) -> None:
        """There is none."""

    def command(self, *arguments: str) -> str:
        """Run metserve with the API's settings; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env=self.processes["api"].env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()


class OpenIdMock(Server):
    """oidc-provider-mock, with a doctor and somebody without a role."""

    USERS = ({"sub": "doctor", "roles": ["viewer"]}, {"sub": "visitor"})

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        claims = [f"--user-claims={json.dumps(user)}" for user in self.USERS]
        command = [sys.executable, "-m", "oidc_provider_mock", f"--port={self.port}", *claims]
        super().__init__(command, folder / "provider.log")
        self.issuer = f"http://localhost:{self.port}"

    def start(self) -> None:
        super().start()
        wait_until(lambda: listens(self.port), START_LIMIT_S, "the OpenID provider listens")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it; it knows no other way."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.wait()

    def id_token(self, user: str, audience: str = CLIENT) -> str:
        """Return a signed token, as an application gets it for a user."""
        back = "http://localhost/back"
        query = {"client_id": audience, "redirect_uri": back, "response_type": "code", "scope": "openid"}
        answer = httpx.post(f"{self.issuer}/oauth2/authorize", params=query, data={"sub": user})
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        tokens = httpx.post(f"{self.issuer}/oauth2/token", data=form, auth=(audience, "any"))
        return str(tokens.raise_for_status().json()["id_token"])


@dataclass(frozen=True)
class Site:
    """A running API with a study, and its OpenID provider."""

    api: GuardedApi
    provider: OpenIdMock

    def key(self, *options: str) -> str:
        return self.api.command("key", "create", "--name", "test", *options)

    def get(self, path: str, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(f"{self.api.url}{path}", headers=headers, timeout=REPLY_LIMIT_S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("contract")
    records = Records(folder, migrated=True)
    records.add_job("job-1", state=JobState.DELIVERED)
    records.add_job("job-2", state=JobState.PARKED, revision=2)
    records.add_job("job-3", state=JobState.UNSUITABLE, study_uid=f"{STUDY_UID}.9", finished_at=NOON)
    provider = OpenIdMock(folder)
    api = GuardedApi(folder / "api", records, provider.issuer)
    with running(provider, api):
        yield Site(api, provider)


def test_the_contract_holds_whatever_is_asked(site: Site, tmp_path: Path) -> None:
    """No 5xx, no undocumented answer, no body that is not as described, no route without a key."""
    key = site.key("--role", "admin", "--role", "service")
    description = tmp_path / "openapi.json"
    description.write_bytes(site.get("/openapi.json", key).raise_for_status().content)
    program = str(Path(sys.executable).with_name("schemathesis"))
    config = f"--config-file={Path(__file__).with_name('schemathesis.toml')}"
    done = subprocess.run(
        [program, config, "--no-color", "run", str(description), f"--url={site.api.url}", "--checks=all"],
        cwd=tmp_path,
        env={**os.environ, "METSERVE_TEST_KEY": key},
        capture_output=True,
        text=True,
        timeout=CONTRACT_LIMIT_S,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_a_token_of_the_provider_opens_what_its_roles_allow(site: Site) -> None:
    assert site.get(STUDY, site.provider.id_token("doctor")).status_code == 200
    assert site.get(STUDY, site.provider.id_token("visitor")).status_code == 403


def test_a_token_for_another_service_opens_nothing(site: Site) -> None:
    assert site.get(STUDY, site.provider.id_token("doctor", audience="another")).status_code == 401


def test_a_token_that_was_changed_opens_nothing(site: Site) -> None:
    header, payload, signature = site.provider.id_token("doctor").split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    admin = base64.urlsafe_b64encode(json.dumps(claims | {"roles": ["admin"]}).encode()).decode().rstrip("=")
    for token in (f"{none}.{payload}.", f"{header}.{admin}.{signature}", f"{header}.{payload}."):
        assert site.get(STUDY, token).status_code == 401


def test_a_key_opens_what_its_role_allows_until_it_is_revoked(site: Site) -> None:
    key = site.key("--role", "viewer", "--expires", "1d")
    assert site.get(STUDY, key).status_code == 200
    site.api.command("key", "revoke", key.split("_")[1])
    assert site.get(STUDY, key).status_code == 401


def test_a_key_for_another_scanner_sees_nothing(site: Site) -> None:
    key = site.key("--role", "viewer", "--source", "CT7")
    assert site.get(STUDY, key).status_code == 404
    assert site.get("/api/v1/studies", key).json()["total"] == 0


def test_health_is_open_and_says_nothing_of_patients(site: Site) -> None:
    assert site.get("/health/live").status_code == 200
    assert site.get("/health/ready").status_code == 200
    assert site.get("/metrics").status_code == 401


def test_somebody_logs_in_with_a_browser_reads_the_documentation_and_logs_out(
    site: Site, tmp_path: Path
) -> None:
    with headless_browser() as browser:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"{site.api.url}/docs")
        page.fill("input[name=sub]", "doctor")
        page.click("button[type=submit]")
        page.wait_for_selector("#operations-studies-list_studies_api_v1_studies_get", timeout=PAGE_LIMIT_MS)
        assert page.url == f"{site.api.url}/docs"
        page.screenshot(path=str(Path(PICTURES or tmp_path) / "documentation.png"))
        ask = "async path => (await fetch(path, {method: path == '/logout' ? 'POST' : 'GET'})).status"
        assert page.evaluate(ask, "/api/v1/principal") == 200
        assert page.evaluate(ask, "/logout") == 204
        assert page.evaluate(ask, "/api/v1/principal") == 401
    assert [text for text in complaints if "Content Security Policy" in text] == []


def test_the_service_refuses_to_be_open_by_accident(site: Site) -> None:
    env = {**os.environ, "METSERVE_API_HOST": "0.0.0.0", "METSERVE_DATA_DIR": str(site.api.data)}
    for program in ("api", "up"):
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", program],
            env=env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
        )
        assert done.returncode == 2, done.stdout
        assert "METSERVE_ACCESS_API_KEYS" in done.stderr
