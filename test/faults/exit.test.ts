/** A process, or a Worker, that ends with work queued: its exit code is its own, and nothing hangs or crashes. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { describe, test } from "node:test"
import { skip } from "../cuda/double.js"
import { everything } from "./checks.js"

const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)

/** Opens a device, runs the program up to a step, and holds its default stream up, so that all later work is queued. */
const prologue = (id: string): string => `
  import ${url("../cuda/double.js")}
  import { captureGraph, fork, openDevice, parallel } from ${url("../../src/index.js")}
  import { Program } from ${url("./program.js")}
  import { Latch } from ${url("../support/latch.js")}
  import { prepare } from ${url("../support/kernels.js")}
  const device = openDevice(${JSON.stringify(id)})
  await prepare(device)
  const stop = new Error("stop")
  const program = new Program(device, { before: (name) => { if (name === "copy and fill of rows") throw stop } })
  await program.run().catch((error) => { if (error !== stop) throw error })
  const latch = new Latch(device)
  latch.hold()
  const { aux, x, y } = program.things
  const queue = () => parallel([() => program.affine(x, 2, 1), () => program.affine(y, 3, 0)])
  queue()
`

/** How a process may end, with work queued behind a latch that nobody opens, and what its end must be. */
interface Ending {
  readonly body: string
  readonly code?: number
  readonly signal?: NodeJS.Signals
  readonly stdout?: string
  readonly stderr?: RegExp
}

const endings: Readonly<Record<string, Ending>> = {
  "process.exit": { body: "process.exit(3)", code: 3 },
  "the end of the program, undisposed": { body: "process.exitCode = 4", code: 4 },
  "the end of the program, disposed": {
    body: "program.dispose(); device.dispose(); latch.open(); process.exitCode = 5",
    code: 5,
  },
  "an uncaught exception": { body: "throw new Error('of the user')", code: 1, stderr: /Error: of the user/ },
  "an exception in a capture": {
    body: "captureGraph(() => { queue(); throw new Error('of the user') }, { device })",
    code: 1,
    stderr: /Error: of the user/,
  },
  "a rejection that nobody handles": {
    body: "device.completed(); void Promise.reject(new Error('of the user'))",
    code: 1,
    stderr: /Error: of the user/,
  },
  "process.exit in a fork": { body: "fork(() => { queue(); process.exit(6) })", code: 6 },
  "process.exit in a capture": { body: "captureGraph(() => { queue(); process.exit(7) }, { device })", code: 7 },
  "process.exit after an await in a capture": {
    body: "await captureGraph(async () => { queue(); await null; process.exit(8) }, { device })",
    code: 8,
  },
  "process.exit in a promise of the device": { body: "x.read().then(() => process.exit(9)); latch.open()", code: 9 },
  "process.exit, and a listener that disposes of everything": {
    body: "process.on('exit', () => { program.dispose(); device.dispose(); console.log('disposed') }); process.exit(10)",
    code: 10,
    stdout: "disposed\n",
  },
  "process.exit, and a listener that continues": {
    body: "process.on('exit', () => { queue(); latch.open(); aux.synchronize(); console.log('done') }); process.exit(11)",
    code: 11,
    stdout: "done\n",
  },
  SIGTERM: { body: "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)", signal: "SIGTERM" },
  "SIGINT while a promise is pending": {
    body: "process.kill(process.pid, 'SIGINT'); await x.read()",
    signal: "SIGINT",
  },
  "SIGTERM with a listener": {
    body: "process.on('SIGTERM', () => process.exit(12)); process.kill(process.pid, 'SIGTERM'); await x.read()",
    code: 12,
  },
  "listeners that throw": {
    body: `
      const { channel } = await import("node:diagnostics_channel")
      const seen = []
      process.on("uncaughtException", (error) => seen.push(error.message))
      channel("auxstream:parallel").subscribe(() => { throw new Error("of a subscriber") })
      const controller = new AbortController()
      controller.signal.addEventListener("abort", () => { throw new Error("of a listener") })
      const waiting = aux.completed({ signal: controller.signal }).catch((error) => error.message)
      controller.abort(new Error("the reason"))
      queue()
      latch.open()
      device.synchronize()
      console.log(await waiting === "the reason" || "not aborted")
      await new Promise((resolve) => setTimeout(resolve, 10))
      console.log([...new Set(seen)].sort().join(", "))`,
    code: 0,
    stdout: "true\nof a listener, of a subscriber\n",
  },
}

/** Ends of a Worker, as the thread that started it sees them. */
const workerEndings: Readonly<
  Record<string, { readonly body: string; readonly main: string; readonly stdout: string }>
> = {
  "a Worker that is terminated": {
    body: "parentPort.postMessage('ready'); await x.read()",
    main: "worker.on('message', () => worker.terminate())",
    stdout: "worker ended 1\n",
  },
  "a Worker that is terminated in a blocking call": {
    body: "parentPort.postMessage('ready'); device.synchronize()",
    main: "worker.on('message', () => setTimeout(() => worker.terminate(), 20))",
    stdout: "worker ended 1\n",
  },
  "a Worker that calls process.exit": { body: "queue(); process.exit(6)", main: "", stdout: "worker ended 6\n" },
  "a Worker that throws": {
    body: "throw new Error('of the worker')",
    main: "worker.on('error', (error) => console.log(error.message))",
    stdout: "of the worker\nworker ended 1\n",
  },
}

function run(text: string): { status: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const options = ["--input-type=module", "--eval", text]
  // Far longer than any of these takes: what reaches it hangs.
  return spawnSync(process.execPath, options, { encoding: "utf8", timeout: 120_000, killSignal: "SIGKILL", env })
}

/** Without `AUXSTREAM_FAULTS=all`, each device tries some: each ending is a process. */
const some: Readonly<Record<string, readonly string[]>> = {
  host: ["an exception in a capture", "a Worker that is terminated in a blocking call"],
  "cuda:0": ["process.exit, and a listener that disposes of everything", "listeners that throw"],
}

for (const { id, skipped } of [
  { id: "host", skipped: false },
  { id: "cuda:0", skipped: skip },
] as const) {
  const isTried = (name: string): boolean => everything || some[id]?.includes(name) === true
  describe(`a process that ends with work queued, on ${id}`, { skip: skipped }, () => {
    for (const [name, { body, code, signal, stdout = "", stderr }] of Object.entries(endings)) {
      if (!isTried(name)) continue
      test(`by ${name}`, () => {
        const end = run(prologue(id) + body)
        assert.deepEqual([end.status, end.signal], [code ?? null, signal ?? null], end.stderr)
        assert.equal(end.stdout, stdout)
        if (stderr === undefined) assert.equal(end.stderr, "")
        else assert.match(end.stderr, stderr)
      })
    }

    for (const [name, { body, main, stdout }] of Object.entries(workerEndings)) {
      if (!isTried(name)) continue
      test(`in ${name}`, () => {
        const program = `import { parentPort } from "node:worker_threads"\n${prologue(id)}${body}`
        const end = run(`
          import { Worker } from "node:worker_threads"
          const worker = new Worker(new URL("data:text/javascript,${encodeURIComponent(program)}"))
          worker.on("exit", (code) => console.log("worker ended", code))
          ${main}`)
        assert.deepEqual([end.status, end.signal, end.stderr, end.stdout], [0, null, "", stdout])
      })
    }
  })
}
