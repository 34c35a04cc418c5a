import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { describe, test } from "node:test"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("../../examples/server/main.js", import.meta.url))
/** Long enough to be running when the test acts. */
const manyRounds = 20_000_000

/** Starts the server in a process of its own, on any free port. */
class Server {
  readonly #process: ChildProcess
  readonly #url: string
  #output = ""

  private constructor(started: ChildProcess, port: string) {
    this.#process = started
    this.#url = `http://localhost:${port}`
    started.stderr?.on("data", (data) => (this.#output += String(data)))
  }

  static async start(): Promise<Server> {
    const environment = { ...process.env, AUXSTREAM_DEVICE: "host" }
    const started = spawn(process.execPath, [program, "0"], { env: environment })
    const [line] = (await once(createInterface(started.stdout), "line")) as [string]
    return new Server(started, /port (\d+), on host\./.exec(line)?.[1] ?? assert.fail(line))
  }

  async ask(numbers: unknown, rounds = 100, signal?: AbortSignal): Promise<{ status: number; body: unknown }> {
    const asked = { method: "POST", body: JSON.stringify({ numbers, rounds }), signal: signal ?? null }
    const response = await fetch(this.#url, asked)
    return { status: response.status, body: await response.json() }
  }

  async memoryUsed(): Promise<number> {
    const response = await fetch(this.#url)
    return ((await response.json()) as { used: number }).used
  }

  terminate(): void {
    this.#process.kill("SIGTERM")
  }

  /** Its exit and its error output. */
  async ended(): Promise<{ code: number | null; errors: string }> {
    if (this.#process.exitCode === null) await once(this.#process, "exit")
    return { code: this.#process.exitCode, errors: this.#output }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL")
    await this.ended()
  }
}

function expected(numbers: readonly number[], rounds: number): number[] {
  const iterated = (value: number, factor: number) => {
    let result = Math.fround(value)
    for (let round = 0; round < rounds; round++) result = Math.fround(result * factor + 1)
    return result
  }
  return numbers.map((value) => Math.fround(iterated(value, 0.25) + iterated(value, 0.5)))
}

describe("the example of a server", { skip: process.platform === "win32" && "there is no SIGTERM" }, () => {
  test("concurrent requests get their results even if some fail", async () => {
    await using server = await Server.start()
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => server.ask(index % 3 === 0 ? [1, null] : [index, 0.5])),
    )
    answers.forEach(({ status, body }, index) => {
      if (index % 3 !== 0) return assert.deepEqual({ status, body }, { status: 200, body: expected([index, 0.5], 100) })
      assert.equal(status, 400)
      assert.match((body as { error: string }).error, /number 1 is NaN/)
    })
    assert.equal(await server.memoryUsed(), 0)
  })

  test("a client that disconnects ends only its own request, whose memory is freed", async () => {
    await using server = await Server.start()
    const gone = new AbortController()
    const left = server.ask([1, 2, 3, 4], manyRounds, gone.signal)
    while ((await server.memoryUsed()) === 0);
    gone.abort()
    await assert.rejects(left)
    assert.deepEqual(await server.ask([1, 2]), { status: 200, body: expected([1, 2], 100) })
    while ((await server.memoryUsed()) !== 0);
  })

  test("SIGTERM: running requests are answered, then the process ends without an error", async () => {
    await using server = await Server.start()
    const asked = server.ask([1, 2], manyRounds)
    while ((await server.memoryUsed()) === 0);
    server.terminate()
    const { status } = await asked
    assert.equal(status, 200)
    assert.deepEqual(await server.ended(), { code: 0, errors: "" })
  })
})
