import { spawnSync } from "node:child_process"
import type {
  Driver,
  HostModuleBody,
  KernelArgument,
  KernelHandle,
  KernelSource,
  StreamHandle,
} from "../../src/driver.js"
import type { DType } from "../../src/common/dtype/dtype.js"
import type { Primitive } from "../../src/common/struct/layout.js"
import { hostBackend } from "../../src/host/backend.js"

/** Opens a host device, and closes it when the block that holds it ends. */
export function open(threads = 2): Driver & Disposable {
  const driver = hostBackend.open(0, { threads })
  return Object.assign(driver, { [Symbol.dispose]: () => driver.close() })
}

export const never = (): boolean => false

const VALUE = /^(?:(in|out|inout) )?(\w+)\*?$/

/** A kernel's parameters from a signature such as `["int32", "inout float32*"]`. */
export function parameters(...signature: string[]): Primitive[] {
  return signature.map((text) => {
    const [, access, dtype] = VALUE.exec(text) ?? []
    return { dtype: dtype as DType, access: access as Primitive["access"] }
  })
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

/** Queues a launch of one thread. */
export function launch(driver: Driver, stream: StreamHandle, kernel: KernelHandle, ...args: KernelArgument[]): void {
  driver.kernels.launch(stream, kernel, 1, 1, 1, 1, 1, 1, 0, args, undefined)
}

/** Spins until the first element is not 0, for at most five seconds. */
export const latchSource = source(
  "latch",
  ["in int32*"],
  "const end = performance.now() + 5000; while (Atomics.load(args[0], 0) === 0 && performance.now() < end);",
)

/** Holds streams: work queued after `hold` does not start before `open`. */
export class Latch {
  readonly words: Int32Array
  private readonly address: number

  constructor(private readonly driver: Driver) {
    const memory = driver.memory.allocatePinned(4)
    this.address = memory.address
    this.words = new Int32Array(memory.buffer, memory.byteOffset, 1)
  }

  hold(stream: StreamHandle): void {
    launch(this.driver, stream, this.driver.kernels.load(latchSource), { address: this.address, length: 1 })
  }

  open(): void {
    Atomics.store(this.words, 0, 1)
  }
}

/** A promise of the end of the work queued on a stream, through `whenComplete`. */
export function completed(driver: Driver, stream: StreamHandle): Promise<void> {
  const event = driver.events.create(false)
  driver.events.record(event, stream)
  return new Promise((resolve, reject) => {
    driver.events.whenComplete(event, (error) => (error === undefined ? resolve() : reject(error)))
    driver.events.destroy(event)
  })
}

/** The value that a function throws. */
export function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

/** Runs the text of a module in a new process, with the helpers of this file imported. */
export function runAlone(body: string, options: readonly string[] = [], { env, files }: Surroundings = {}): Run {
  const helpers = new URL("./device.js", import.meta.url).href
  const text = `import { open, source, kernelOf, launch, completed, never, Latch, latchSource } from ${JSON.stringify(helpers)}\n${body}`
  const start = performance.now()
  const node = [process.execPath, ...options, "--input-type=module", "-e", text]
  const [command = "", ...words] =
    files === undefined ? node : ["sh", "-c", `ulimit -n ${files}; exec "$@"`, "sh", ...node]
  const result = spawnSync(command, words, { encoding: "utf8", timeout: 120_000, env: { ...process.env, ...env } })
  return { status: result.status, stdout: result.stdout, stderr: result.stderr, time: performance.now() - start }
}

/** The environment of the new process. */
export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>
  /** How many files it may open. Not on Windows. */
  readonly files?: number
}

export interface Run {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly time: number
}
