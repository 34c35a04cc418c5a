import { spawnSync } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import type { Driver } from "../../src/driver/driver.js"
import type { HostModuleBody } from "../../src/driver/module-body.js"
import type { KernelSource } from "../../src/driver/modules.js"
import type { Primitive } from "../../src/common/struct/layout.js"
import { hostBackend } from "../../src/host/backend.js"
import { DriverLatch, parameters } from "../support/drivers.js"
import { latchText } from "../support/latch-flags.js"

export { completed, launch, never, parameters, thrownBy } from "../support/drivers.js"

/** Opens a host device, and closes it when the block that holds it ends. */
export function open(threads = 2): Driver & Disposable {
  const driver = hostBackend.open(0, { threads })
  return Object.assign(driver, { [Symbol.dispose]: () => driver.close() })
}

/** A kernel from the source of its body; `launch` and `args` are its parameters. */
export function source(name: string, signature: string[], body: string): KernelSource {
  return kernelOf(name, { source: `export function ${name}(launch, ...args) { ${body} }` }, parameters(...signature))
}

/** The only kernel of a module. */
export function kernelOf(
  name: string,
  host: HostModuleBody | undefined,
  parameters: readonly Primitive[] = [],
  exported = name,
): KernelSource {
  const module = { name, label: `Kernel "${name}"`, cuda: undefined, host, globals: [], expressions: [] }
  return { name, parameters, module, symbol: name, export: exported }
}

const latch = kernelOf("test_latch", { source: latchText }, parameters("inout int32*", "int32"))

/** Holds streams: work queued after `hold` does not start before `open`. */
export class Latch extends DriverLatch {
  constructor(driver: Driver) {
    super(driver, latch)
  }
}

/**
 * Opens files until this process may open only so many more. A lower limit from the start would keep it from loading its own
 * modules: Node.js reads many at once.
 */
export function leaveFiles(count: number): void {
  const opened: number[] = []
  try {
    for (;;) opened.push(openSync(process.execPath, "r"))
  } catch {
    for (const file of opened.splice(Math.max(0, opened.length - count))) closeSync(file)
  }
}

/** Runs the text of a module in a new process, with the helpers of this file imported. */
export function runAlone(body: string, options: readonly string[] = [], { env, files }: Surroundings = {}): Run {
  const helpers = new URL("./device.js", import.meta.url).href
  const names = "open, source, kernelOf, launch, leaveFiles, completed, never, Latch"
  const text = `import { ${names} } from ${JSON.stringify(helpers)}\n${body}`
  const start = performance.now()
  const node = [process.execPath, ...options, "--input-type=module", "-e", text]
  const [command = "", ...words] =
    files === undefined ? node : ["sh", "-c", `ulimit -n ${files}; exec "$@"`, "sh", ...node]
  const result = spawnSync(command, words, { encoding: "utf8", timeout: 300_000, env: { ...process.env, ...env } })
  return { status: result.status, stdout: result.stdout, stderr: result.stderr, time: performance.now() - start }
}

/** The environment of the new process. */
export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>
  /** How many files it may open, at least as many as it has modules. Not on Windows. */
  readonly files?: number
}

export interface Run {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly time: number
}
