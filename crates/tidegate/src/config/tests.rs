//! Bad project files and what is said about them.

use super::load::parse_project;
use super::*;
use crate::error::CliError;
use std::collections::HashMap;
use std::path::Path;

#[test]
fn explore() {
    let base = "service: desk\nupstreams:\n  main:\n    kind: simulated\n";
    for bad in [
        "service: desk\nupstrems:\n  main:\n    kind: simulated\n",
        "service: desk\n",
        "",
        "service: desk\nupstreams:\n  main:\n    kind: opnai\n",
        "service: desk\nupstreams:\n  main:\n    kind: openai\n    base_ulr: https://x/v1\n",
        "service: desk\nupstreams:\n  main:\n    kind: openai\n",
        "service: desk\nupstreams:\n  main:\n    base_url: https://x/v1\n",
        "service: desk\nupstreams:\n  main:\n    kind: simulated\n    seed: many\n",
        "service: desk\nupstreams:\n  main:\n    kind: simulated\n    faults: [{rate: x}]\n",
        "service: desk\nupstreams:\n  main:\n    kind: simulated\n    faults: [{rat: 1}]\n",
        "service: desk\nupstreams:\n  main: simulated\n",
        "service: desk\nupstreams: main\n",
        "service: desk\nservice: desk\n",
        "service: [a]\n",
        "service: desk\n  x: 1\n",
        "service: \"desk\n",
        "a: &a [x,x]\nb: *c\n",
        "service: desk\n---\nservice: b\n",
        "- a\n- b\n",
    ] {
        let e = parse_project(bad, Path::new("tidegate.yaml"), HashMap::new());
        eprintln!("{:?}\n   -> {:?}", bad, e.map(|_| ()));
    }
    for more in [
        "limits:\n  max_concurrent: lots\n",
        "limits:\n  max_concurrent: -1\n",
        "limits:\n  max_concurrent: 1.5\n",
        "limits:\n  retries: 99999999999\n",
        "limits:\n  max_concurrent: 0\n",
        "limits: 5\n",
        "limits:\n  - 5\n",
        "credentials:\n",
        "limits:\n",
        "contract:\n",
        "records:\n  content: yes\n",
        "release:\n  alpha: .nan\n",
        "release:\n  preset: lader\n",
        "release:\n  alpha: 0.7\n",
        "release:\n  rungs:\n    - weight_pct: 5\n      look_s: 3\n",
        "listen: 0.0.0.0:80\n",
        "listen: ${HOST}:80\n",
        "listen: \"${HOST:-127.0.0.1}:80\"\n",
        "listen: ${HOST:-127.0.0.1}:8080\n",
        "listen: ${HO ST}\n",
        "lines:\n  eror_rate: {pause: 1}\n",
        "lines:\n  error_rate: {pause: 1}\n",
        "lines:\n  cost_per_request: {pause: 1}\n",
        "lines:\n  error_rate: {puase: 1}\n",
        "credentials:\n  - name: a\n    key: sk-123\n",
        "credentials:\n  - name: a\n    key_env: sk-123\n",
        "prices:\n  gpt-4.1: {input_per_million: -1, output_per_million: 2}\n",
        "contract:\n  output: {type: objct}\n",
        "artifacts:\n  model:\n    parameters: {top_p: 0.9, stop: no}\n",
        "listen: 12\n",
        "aliases: x\n",
        "service2: null\n",
        "risk:\n  planted: [abc]\n",
        "risk:\n  on_black: all\n",
        "credentials:\n  - name: a\n  - name: b\n    key_env: B\n",
        "limits: [a]\n",
        "risk:\n  planted: 5\n",
        "artifacts: {code: {version: {a: b}}}\n",
        "prices:\n  m:\n    input_per_million: 1\n",
    ] {
        let e = parse_project(&format!("{base}{more}"), Path::new("tidegate.yaml"), HashMap::new());
        eprintln!("{:?}\n   -> {:?}", more, e.map(|_| ()));
    }
}
