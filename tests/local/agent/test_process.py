"""`python -m local.agent` as it runs: the whole way over the broker and the object store, and how it ends."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from types_boto3_s3 import S3Client

from tests.gltf import validate
from tests.local.agent.queues import Queues
from tests.local.agent.web import serving
from tests.stacks import free_port

PROJECT = Path(__file__).resolve().parents[3]
SLOW_TO_END = """
import sys, time
from local.agent import __main__ as agent

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(3)

agent.STOP_SECONDS, slow = 2.0, Slow()
sys.exit(agent.main())
"""
PATIENCE = 60.0  # seconds for what must happen
STAGES = ["downloading", "detecting", "fitting", "texturing", "assembling", "uploading"]


class Agent:
    """A process of the agent and what it has said so far."""

    def __init__(self, environment: Mapping[str, str], *options: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-u", *(options or ("-m", "local.agent"))],
            cwd=PROJECT,
            env={**kept, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.said += line

    def end(self, number: signal.Signals) -> int:
        """Its exit code."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self._process.wait(PATIENCE)
        self._reader.join()
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        assert self._process.stdout
        self._process.stdout.close()


@pytest.fixture
def environment(queues: Queues, broker: dict[str, str], buckets: dict[str, str], litert: None) -> dict[str, str]:
    """The agent's, as `facet up` would fill it."""
    own = {"RABBITMQ_TASKS_QUEUE": queues.tasks, "RABBITMQ_TASKS_RESULTS_QUEUE": queues.results}
    return {**broker, **buckets, **own}


@pytest.fixture
def agents(environment: dict[str, str]) -> Iterator[list[Agent]]:
    """Agents that a test has started, ended with it."""
    started: list[Agent] = []
    yield started
    for agent in started:
        agent.kill()


@pytest.fixture
def agent(agents: list[Agent], environment: dict[str, str]) -> Agent:
    agents.append(Agent(environment))
    return agents[0]


@pytest.fixture
def photo_url(s3: S3Client, bucket: str, photos: dict[str, bytes]) -> str:
    """A presigned URL, like the backend's."""
    return uploaded(s3, bucket, photos["astronaut.png"])


def uploaded(s3: S3Client, bucket: str, photo: bytes) -> str:
    key = f"photos/{uuid.uuid4()}.png"
    s3.put_object(Bucket=bucket, Key=key, Body=photo)
    return s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)


def test_a_photo_becomes_a_model_in_the_bucket(
    agent: Agent, queues: Queues, s3: S3Client, bucket: str, photo_url: str
) -> None:
    task = queues.send_task(url=photo_url, bucket=bucket)
    *progress, result = queues.answers_until_end()
    assert [answer.body["stage"] for answer in progress] == STAGES
    percents = [answer.body["progress"] for answer in progress]
    assert percents == sorted(set(percents))
    assert result.body["minio_metadata"] == {"bucket": bucket, "file_name": f"{task}.glb"}
    assert result.body["mesh_metadata"] == {"skin_color_hex": "#ba997a"}
    stored = s3.get_object(Bucket=bucket, Key=f"{task}.glb")
    model = stored["Body"].read()
    assert stored["ContentType"] == "model/gltf-binary"
    assert (result.body["size"], result.body["sha256"]) == (len(model), hashlib.sha256(model).hexdigest())
    report = validate(model)
    assert report["issues"]["numErrors"] == 0
    assert result.body["vertices"] == report["info"]["totalVertexCount"]
    assert result.body["triangles"] == report["info"]["totalTriangleCount"]


def test_a_photo_without_a_face_is_invalid_input(
    agent: Agent, queues: Queues, s3: S3Client, bucket: str, photos: dict[str, bytes]
) -> None:
    task = queues.send_task(url=uploaded(s3, bucket, photos["cat.png"]), bucket=bucket)
    end = queues.answers_until_end()[-1].body
    assert (end["request_uuid"], end["status"], end["error"]["code"]) == (task, "INVALID_INPUT", "NO_FACE")


def test_a_photo_that_is_gone_fails_the_task(
    agent: Agent, queues: Queues, s3: S3Client, bucket: str, photo_url: str
) -> None:
    missing = photo_url.replace("photos/", "photos/not-")
    queues.send_task(url=missing, bucket=bucket)
    end = queues.answers_until_end()[-1].body
    assert (end["status"], end["error"]["code"]) == ("FAILED", "AGENT_ERROR")
    assert "X-Amz" not in agent.said
    assert "http://" not in end["error"]["message"]


def test_an_agent_that_is_killed_loses_no_task(
    agents: list[Agent],
    environment: dict[str, str],
    queues: Queues,
    s3: S3Client,
    bucket: str,
    photos: dict[str, bytes],
) -> None:
    asked, answering = threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        answering.wait(PATIENCE)
        request.send_response(200)
        request.end_headers()
        request.wfile.write(photos["astronaut.png"])

    with serving(answer) as url:
        agents.append(Agent(environment))
        task = queues.send_task(url=url, bucket=bucket)
        assert asked.wait(PATIENCE)
        agents[0].end(signal.SIGKILL)
        answering.set()
        agents.append(Agent(environment))
        queues.wait_for(
            lambda: queues.answer().body.get("minio_metadata") == {"bucket": bucket, "file_name": f"{task}.glb"},
            what="the result",
        )
    assert f"task {task}: taken again" in agents[1].said
    assert s3.head_object(Bucket=bucket, Key=f"{task}.glb")["ContentLength"] > 100_000


def test_an_agent_that_is_stopped_in_a_long_task_gives_it_back_and_does_not_wait_for_its_end(
    agent: Agent, queues: Queues, bucket: str
) -> None:
    asked, over = threading.Event(), threading.Event()

    def never_answer(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        over.wait(2 * PATIENCE)

    with serving(never_answer) as url:
        queues.send_task(url=url, bucket=bucket)
        assert asked.wait(PATIENCE)
        try:
            assert agent.end(signal.SIGTERM) == 0
        finally:
            over.set()
    queues.wait_for(lambda: queues.waiting(queues.tasks) == 1, what="the task back in the queue")


def test_a_collector_that_is_away_is_no_hindrance(
    agents: list[Agent], environment: dict[str, str], queues: Queues, bucket: str, photo_url: str
) -> None:
    agents.append(Agent({**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}))
    queues.send_task(url=photo_url.replace("photos/", "photos/not-"), bucket=bucket)
    assert queues.answers_until_end()[-1].body["status"] == "FAILED"
    assert agents[0].end(signal.SIGTERM) == 0
    assert "agent stopped" in agents[0].said  # before its time was over
    assert "Traceback" not in agents[0].said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_agent_stops_at_once(agent: Agent, queues: Queues, number: signal.Signals) -> None:
    queues.wait_for(lambda: "agent ready" in agent.said, what="the agent")
    assert agent.end(number) == 0
    assert "agent stopped" in agent.said


def test_an_interpreter_that_takes_long_to_end_is_no_death_by_signal(
    agents: list[Agent], environment: dict[str, str], queues: Queues
) -> None:
    agents.append(Agent(environment, "-c", SLOW_TO_END))
    queues.wait_for(lambda: "agent ready" in agents[0].said, what="the agent")
    assert agents[0].end(signal.SIGTERM) == 0


def test_an_agent_says_what_it_does_and_no_secret(agent: Agent, environment: dict[str, str], queues: Queues) -> None:
    queues.wait_for(lambda: "agent ready" in agent.said, what="the agent")
    assert "models loaded in" in agent.said
    assert environment["RABBITMQ_PASSWORD"] not in agent.said
    assert environment["MINIO_SECRET_KEY"] not in agent.said


def started(environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "local.agent"]
    return subprocess.run(command, cwd=PROJECT, env=dict(environment), capture_output=True, text=True, timeout=PATIENCE)


def test_without_settings_it_names_them_in_one_line(litert: None) -> None:
    ended = started({"PATH": os.environ["PATH"]})
    assert ended.returncode == 2
    assert ended.stderr.startswith("the agent cannot start: not set: RABBITMQ_HOST, RABBITMQ_USER")
    assert len(ended.stderr.splitlines()) == 1


def test_without_litert_it_says_how_to_install_it_in_one_line(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['ai_edge_litert'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    ended = started({"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 3
    assert ended.stderr == "the agent needs ai_edge_litert: pip install -r local/agent/requirements.txt\n"
    assert ended.stdout == ""
