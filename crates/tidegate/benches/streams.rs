//! What a thousand streams at a time cost: `cargo bench -p tidegate --bench streams`.
//!
//! A small upstream sends 20 events a second on each stream, each with the moment it was sent; a
//! client reads them, straight from the upstream and through `tidegate serve` (records with their
//! texts on). It prints how long an event took from one to the other, the server's memory, and its
//! CPU time for an event. It measures on whatever machine it runs on and fails only where a stream
//! does not end as it should.
//!
//! Options: `--streams 1000`, `--seconds 10`; `$TIDEGATE` names another binary.

#![expect(clippy::print_stdout, reason = "a bench is there to print")]

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Between two events of a stream.
const EVERY: Duration = Duration::from_millis(50);
/// How long streams wait at least for each other before the first event counts.
const START_OVER: Duration = Duration::from_secs(2);

struct Options {
    streams: usize,
    seconds: u64,
}

fn options() -> Result<Options> {
    let given: Vec<String> = std::env::args().collect();
    let number = |name: &str, otherwise: u64| -> Result<u64> {
        match given.iter().position(|word| word == name) {
            Some(at) => Ok(given.get(at + 1).ok_or("a number is missing")?.parse()?),
            None => Ok(otherwise),
        }
    };
    let streams = usize::try_from(number("--streams", 1_000)?)?;
    Ok(Options { streams, seconds: number("--seconds", 10)? })
}

/// Microseconds since the bench began.
fn now_us() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Answers each request with a stream of so many events.
async fn upstream(listener: TcpListener, events: u64) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that leaves is seen by the client's own count.
        tokio::spawn(async move { drop(answer(stream, events).await) });
    }
}

async fn answer(stream: TcpStream, events: u64) -> Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut ticks = tokio::time::interval(EVERY);
    for _ in 0..events {
        ticks.tick().await;
        let delta = format!(r#""delta":{{"content":"{} token "}}"#, now_us());
        send(&mut stream, &format!(r#"{{"choices":[{{"index":0,{delta}}}]}}"#)).await?;
    }
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    send(&mut stream, end).await?;
    send(&mut stream, "[DONE]").await?;
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(())
}

async fn send(stream: &mut tokio::io::BufReader<TcpStream>, data: &str) -> Result<()> {
    let event = format!("data: {data}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
    Ok(())
}

/// Reads one stream; gives how long each event took, µs.
async fn read(address: &str, number: usize) -> Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = format!(
        r#"{{"model":"bench","user":"u-{number}","stream":true,
             "messages":[{{"role":"user","content":"go on"}}]}}"#
    );
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut lines = tokio::io::BufReader::new(stream).lines();
    let mut took = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if line.starts_with("data: [DONE]") {
            return Ok(took);
        }
        let Some((_, sent)) = line.split_once(r#""content":""#) else { continue };
        let sent: u64 = sent.split(' ').next().unwrap_or_default().parse()?;
        took.push(u32::try_from(now_us().saturating_sub(sent))?);
    }
    Err("a stream ended without [DONE]".into())
}

/// All streams at once, begun over some time so that their events do not come together.
async fn measure(address: &str, options: &Options) -> Result<Vec<u32>> {
    let pause = START_OVER / u32::try_from(options.streams)?;
    let mut reading = Vec::new();
    for number in 0..options.streams {
        let address = address.to_owned();
        reading.push(tokio::spawn(async move { read(&address, number).await }));
        tokio::time::sleep(pause).await;
    }
    let mut took = Vec::new();
    for stream in reading {
        took.extend(stream.await??);
    }
    took.sort_unstable();
    Ok(took)
}

/// A server that is stopped with the bench.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `tidegate serve` on a project; gives the address that it says.
fn serve(root: &Path, upstream: &str, streams: usize) -> Result<(Server, String)> {
    let project = format!(
        r#"{{"service":"bench","listen":"127.0.0.1:0","admin_listen":"127.0.0.1:0",
            "upstreams":{{"up":{{"kind":"openai","base_url":"http://{upstream}/v1"}}}},
            "artifacts":{{"prompt":{{"mode":"pass_through"}},
                          "model":{{"upstream":"up","name":"m-1"}}}},
            "limits":{{"max_concurrent":{}}}}}"#,
        streams + 64
    );
    std::fs::write(root.join("tidegate.yaml"), project)?;
    let binary =
        std::env::var("TIDEGATE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tidegate").to_owned());
    let mut child = Command::new(binary)
        .arg("serve")
        .current_dir(root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let said = child.stdout.take().ok_or("the server has no output")?;
    let server = Server(child);
    for line in BufReader::new(said).lines() {
        if let Some((_, rest)) = line?.split_once("http://") {
            let address = rest.trim_end_matches("/v1").to_owned();
            return Ok((server, address));
        }
    }
    Err("the server did not start".into())
}

/// A line of `/proc/<pid>/status`, in MB.
fn memory_mb(pid: u32, line: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib: f64 = kib.ok_or("no such line")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// User and system time of a process so far, ticks of 10 ms.
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn at(took: &[u32], share: f64) -> f64 {
    let place = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
    f64::from(took.get(place).copied().unwrap_or_default()) / 1000.0
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    let events = options.seconds * 20;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let direct = listener.local_addr()?.to_string();
    tokio::spawn(upstream(listener, events));
    let root = std::env::temp_dir().join(format!("tidegate-streams-{}", std::process::id()));
    std::fs::create_dir_all(&root)?;
    let (server, address) = serve(&root, &direct, options.streams)?;
    println!(
        "{} streams, {events} events each, 20 a second\n\n\
         | | events | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|",
        options.streams
    );
    let mut p99 = [0.0; 2];
    let pid = server.0.id();
    let (idle, before) = (memory_mb(pid, "VmRSS")?, cpu_ticks(pid)?);
    for (place, (name, address)) in
        [("direct", &direct), ("tidegate", &address)].into_iter().enumerate()
    {
        let took = measure(address, &options).await?;
        let (p50, high, longest) = (at(&took, 0.5), at(&took, 0.99), at(&took, 1.0));
        p99[place] = high;
        println!("| {name} | {} | {p50:.2} | {high:.2} | {longest:.1} |", took.len());
    }
    let all = options.streams as f64 * events as f64;
    let cpu_us = (cpu_ticks(pid)? - before) as f64 * 10_000.0 / all;
    println!(
        "\nadded p99: {:.2} ms; memory of tidegate: {idle:.0} MB idle, {:.0} MB at most; CPU: \
         {cpu_us:.1} µs an event",
        p99[1] - p99[0],
        memory_mb(pid, "VmHWM")?
    );
    drop(server);
    Ok(std::fs::remove_dir_all(&root)?)
}
