// Speaks line-delimited JSON with the tests: {"id", "op", "deadline", ...} in, {"id", "ok" | "error"} out.
// One process serves one release of a stock client, or a browser:
// node driver.mjs client57 | client59 | client1 | core69 | core75 | browser

import { createInterface } from "node:readline";

const release = process.argv[2];

// Standard output carries the protocol, so what the packages print goes to standard error.
for (const level of ["log", "info", "debug", "warn"]) console[level] = console.error;

const stray = [];
process.on("unhandledRejection", (reason) => stray.push(String(reason?.message ?? reason)));
process.on("uncaughtException", (error) => stray.push(String(error?.message ?? error)));

const requests = recordRequests();
const { load } = await import(
  release === "browser" ? "./browser.mjs" : release.startsWith("core") ? "./core_sessions.mjs" : "./client_sessions.mjs"
);
const { operations } = await load(release);

operations.stray = () => stray.splice(0);
operations.requests = ({ since = 0 }) => requests.slice(since);

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line.trim()) void answer(JSON.parse(line));
}
process.exit(0);

async function answer({ id, op, deadline = 15_000, ...parameters }) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(Object.assign(new Error(`${op} took longer than ${deadline} ms`), { name: "DeadlineError" })),
      deadline,
    );
  });
  try {
    if (!operations[op]) throw new Error(`unknown operation ${op}`);
    const value = await Promise.race([Promise.resolve(operations[op]({ ...parameters, deadline: 0.9 * deadline })), late]);
    send({ id, ok: value ?? null });
  } catch (error) {
    send({ id, error: { name: error?.name ?? "Error", message: String(error?.message ?? error) } });
  } finally {
    clearTimeout(timer);
  }
}

function send(reply) {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

// The wire as the client used it: what it asked for and which status it got.
function recordRequests() {
  const seen = [];
  const original = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const entry = { method: init?.method ?? "GET", url: String(input?.url ?? input), status: null };
    if (typeof init?.body === "string" && init.body.length < 100_000) entry.body = init.body;
    seen.push(entry);
    const response = await original(input, init);
    entry.status = response.status;
    return response;
  };
  return seen;
}
