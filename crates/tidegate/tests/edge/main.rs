//! The real binary, started on port 0 each in a fresh folder, spoken to over real HTTP.
//!
//! Nothing here waits for a fixed time: a test waits for a condition, and its deadline is generous
//! because it only ends a test that has failed. Every child is killed when its guard is dropped.

#[cfg(test)]
mod ab;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod apis;
#[cfg(test)]
mod approve;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_cases;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod choices;
#[cfg(test)]
mod ci;
#[cfg(test)]
mod client;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod data;
#[cfg(test)]
mod degrade;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod dice;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod evals;
#[cfg(test)]
mod fair;
#[cfg(test)]
mod fallback;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod faults;
#[cfg(test)]
mod fresh;
#[cfg(test)]
mod google;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod incident;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leak;
#[cfg(test)]
mod live_ab;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod r#loop;
#[cfg(test)]
mod many;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod memory;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod moderation;
#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod names;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod outlook;
#[cfg(test)]
mod own_costs;
#[cfg(test)]
mod policy;
#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod preload;
#[cfg(test)]
mod project;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod records;
#[cfg(test)]
mod retrieval;
#[cfg(test)]
mod retriever;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod security;
#[cfg(test)]
mod sentinel;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod services;
#[cfg(test)]
mod sets;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod smoke;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod stalled;
#[cfg(test)]
mod streams;
#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tenants;
#[cfg(test)]
mod time;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tracking;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod upstream_faults;
#[cfg(test)]
mod users;
#[cfg(test)]
mod way_back;
