// Keep a service registered: register, send heartbeats, register again when Saga has forgotten it, deregister on
// SIGTERM. Needs Node 18 or newer. Usage: SAGA_URL=http://127.0.0.1:8030 SAGA_TOKEN=… node register.mjs NAME URL
const [name, url] = process.argv.slice(2);
const api = `${process.env.SAGA_URL ?? "http://127.0.0.1:8030"}/api/v1`;
const milliseconds = 1000 * Number(process.env.HEARTBEAT_SECONDS ?? 20);

// Returns the status, or 0 where there is no answer: the service must not fail because Saga is away.
async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (process.env.SAGA_TOKEN) headers.Authorization = `Bearer ${process.env.SAGA_TOKEN}`;
  try {
    const options = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(5000) };
    const answer = await fetch(api + path, options);
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}

const register = () => call("POST", "/services/register", { service_name: name, service_url: url, ttl: 60 });

async function heartbeat() {
  const status = await call("POST", `/services/${encodeURIComponent(name)}/heartbeat`);
  if (status === 400 || status === 404) await register(); // Saga has forgotten it
}

async function leave() {
  clearInterval(timer);
  await call("DELETE", `/services/${encodeURIComponent(name)}?instance_id=default`);
  process.exit(0);
}

const timer = setInterval(heartbeat, milliseconds);
process.on("SIGTERM", leave);
process.on("SIGINT", leave);
await register();
