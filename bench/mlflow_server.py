"""A run sent to a real MLflow server and read back with MLflow's client: `mlflow_server.py EXE FOLDER`."""
import json, os, socket, subprocess, sys, time, urllib.request

exe, work = sys.argv[1:3]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
url = f"http://127.0.0.1:{port}"
log = open(f"{work}/mlflow.log", "w")
server = subprocess.Popen(
    [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
     "--backend-store-uri", f"sqlite:///{work}/mlflow.db", "--serve-artifacts",
     "--artifacts-destination", f"{work}/artifacts", "--workers", "1"],
    stdout=log, stderr=log, cwd=work)
try:
    until = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).read()
            break
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                sys.exit("mlflow server did not start:\n" + open(f"{work}/mlflow.log").read()[-2000:])
            time.sleep(0.2)

    def tidegate(*args, code=(0,)):
        done = subprocess.run([exe, *args], cwd=f"{work}/desk", capture_output=True, text=True)
        assert done.returncode in code, (args, done.returncode, done.stderr)
        return done.stdout

    subprocess.run([exe, "init", "desk"], cwd=work, check=True, capture_output=True)
    run_id = json.loads(tidegate("eval", "--json", code=(0, 1)))["run_id"]
    export = ["runs", "export", run_id, "--to", "mlflow", url, "--json",
              "--experiment", "llm-prompt-optimization"]
    first, second = (json.loads(tidegate(*export)) for _ in range(2))
    assert first == second, (first, second)

    os.environ["MLFLOW_TRACKING_URI"] = url
    from mlflow import MlflowClient, artifacts

    client = MlflowClient()
    experiment = client.get_experiment_by_name("llm-prompt-optimization")
    runs = client.search_runs([experiment.experiment_id], filter_string="metrics.accuracy >= 0",
                              order_by=["metrics.accuracy DESC"])
    assert len(runs) == 1, "sent twice, there once"
    run = runs[0]
    assert run.info.run_id == first["sent"]["id"] and run.info.status == "FINISHED", run.info
    assert run.data.tags["tidegate.run_id"] == run_id, run.data.tags
    assert run.data.params["model"] and run.data.params["prompt_version"], run.data.params
    assert len(client.get_metric_history(run.info.run_id, "accuracy")) == 1, "one value"
    files = sorted(item.path for item in client.list_artifacts(run.info.run_id))
    assert "system.md" in files and "evaluation.json" in files, files
    got = artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="evaluation.json",
                                       dst_path=work)
    assert json.load(open(got))["run_id"] == run_id
    import mlflow
    print(f"mlflow {mlflow.__version__}: run {run.info.run_id} there once after two exports; "
          f"{len(run.data.params)} params, {len(run.data.metrics)} metrics, files {', '.join(files)}")
finally:
    server.terminate()
    server.wait()
