/** A kernel that fails, in each way a kernel can, at each launch of a program. */
import assert from "node:assert/strict"
import { after, describe, test } from "node:test"
import {
  type Device,
  DeviceLostError,
  type HostKernelBody,
  defineKernel,
  KernelError,
  openDevice,
  type OpenOptions,
} from "../../src/index.js"
import { showThrown } from "../../src/common/show.js"
import { I32, wasmModule } from "../host/wasm.js"
import { double, skip } from "../cuda/double.js"
import { collectUntil } from "../support/collect.js"
import { affine, combine, over } from "../support/kernels.js"
import { allErrors, checkClear, checkLost, checkWorks, outcome, placesOf } from "./checks.js"
import { type Hooks, Program } from "./program.js"
import { watching, watchingNothing } from "./watchdog.js"

/** The kernels of the program, with a body that fails. */
interface Failing {
  readonly affine: typeof affine
  readonly combine: typeof combine
}

function failing(host: (parameters: number) => HostKernelBody): Failing {
  return {
    affine: defineKernel({ name: "failing", signature: affine.signature, host: host(4) }),
    combine: defineKernel({ name: "failing", signature: combine.signature, host: host(3) }),
  }
}

const text = (body: string) => (): HostKernelBody => ({ source: `export function failing(launch, n, x) { ${body} }` })
const trap = (count: number): HostKernelBody => ({
  wasm: wasmModule({ parameters: Array<number>(count).fill(I32), code: [0x00], names: ["failing"] }),
})

/** Kernels that break their stream. */
const breaking = {
  "throws an error": failing(text("throw new TypeError('no good')")),
  "throws null": failing(text("throw null")),
  "throws an object that cannot be shown": failing(
    text("throw new Proxy({}, { get() { throw new Error('no') }, getPrototypeOf() { throw new Error('no') } })"),
  ),
  "recurses without end": failing(text("const again = () => again() + 1; return again()")),
  "returns a promise": failing(text("return Promise.reject(new Error('too late'))")),
  "traps in WebAssembly": failing(trap),
}

/** Kernels that lose the device. */
const losing = {
  "ends its thread": failing(text("process.exit(5)")),
  "never ends": failing(text("for (;;);")),
}

/** Runs the program with the failing kernel at launch `nth`, and counts the launches. */
function hooksFor({ affine: failingAffine, combine: failingCombine }: Failing, nth: number) {
  let launches = 0
  const hooks: Hooks = {
    affine: () => (launches++ === nth ? failingAffine : affine),
    combine: () => (launches++ === nth ? failingCombine : combine),
  }
  return { hooks, count: () => launches }
}

async function launchesOf(device: Device): Promise<number> {
  const { hooks, count } = hooksFor(breaking["throws an error"], -1)
  const program = new Program(device, hooks)
  await program.run()
  program.dispose()
  return count()
}

/** Work that has nothing to do with the program. */
class Bystander {
  readonly #device: Device
  readonly #stream
  readonly #array

  constructor(device: Device) {
    this.#device = device
    this.#stream = device.createStream({ name: "bystander" })
    this.#array = this.#stream.run(() => device.full("int32", 4, 1))
    this.#stream.run(() => affine.launch(over(4), 4, this.#array, 5, 0))
  }

  check(): void {
    this.#stream.run(() => affine.launch(over(4), 4, this.#array, 2, 1))
    assert.deepEqual([...this.#stream.run(() => this.#array.readSync())], [11, 11, 11, 11])
    this.#array.dispose()
    this.#stream.dispose()
    assert.equal(this.#device.disposed, false)
  }
}

async function breakAt(device: Device, kernels: Failing, nth: number): Promise<void> {
  const used = device.memory.used
  const bystander = new Bystander(device)
  const program = new Program(device, hooksFor(kernels, nth).hooks)
  const thrown = await outcome(() => program.run())
  const where = `in "${program.step}"`
  checkClear(thrown, where)
  const failure = allErrors(thrown).find((error) => error instanceof KernelError)
  assert.ok(failure instanceof KernelError, `${where}: ${showThrown(thrown)}`)
  assert.equal(failure.kernel, "failing")
  bystander.check()
  program.dispose()
  // The failure of the default stream or of a pool stream may not have been reported yet. It is reported once.
  const late = await outcome(() => device.synchronize())
  assert.ok(late === undefined || late instanceof KernelError, where)
  device.synchronize()
  await device.completed()
  device.createStream().dispose()
  assert.equal(device.memory.used, used, `${where}: memory is left in use`)
  await checkWorks(device, where)
}

async function loseAt(options: OpenOptions, kernels: Failing, nth: number): Promise<void> {
  using device = openDevice("host", options)
  const program = new Program(device, hooksFor(kernels, nth).hooks)
  const thrown = await outcome(() => program.run())
  const where = `in "${program.step}"`
  checkClear(thrown, where)
  const loss = allErrors(thrown).find((error) => error instanceof DeviceLostError)
  assert.ok(loss instanceof DeviceLostError, `${where}: ${showThrown(thrown)}`)
  assert.match(loss.message, /"failing"/)
  await checkLost(device, loss, where)
  program.dispose()
}

/** Tries places, and collects the mistakes. */
async function tryPlaces(
  what: string,
  places: readonly number[],
  attempt: (nth: number) => Promise<void>,
): Promise<void> {
  const problems: string[] = []
  for (const nth of places) {
    watching(`a kernel that ${what} at launch ${nth}`)
    await attempt(nth).catch((error: unknown) => problems.push(`launch ${nth}: ${showThrown(error)}`))
  }
  assert.deepEqual(problems, [])
}

describe("a kernel that fails, at each launch", () => {
  after(() => watchingNothing())

  for (const [index, [what, kernels]] of Object.entries(breaking).entries()) {
    test(`and ${what}, breaks its stream and those that wait for it; others go on, and the device works`, async () => {
      using device = openDevice("host", { threads: 2 })
      const all = await launchesOf(device)
      assert.ok(all > 10)
      await tryPlaces(what, placesOf(all, 11, index), (nth) => breakAt(device, kernels, nth))
    })
  }

  test("and ends its thread, loses the device, which names it", async () => {
    using device = openDevice("host", { threads: 2 })
    const all = await launchesOf(device)
    device.dispose()
    const kernels = losing["ends its thread"]
    await tryPlaces("ends its thread", placesOf(all, 11), (nth) => loseAt({ threads: 2 }, kernels, nth))
  })

  test("and never ends, loses a device with launchTimeout, which names it", async () => {
    using device = openDevice("host", { threads: 2 })
    const all = await launchesOf(device)
    device.dispose()
    const options = { threads: 2, launchTimeout: 150 }
    await tryPlaces("never ends", placesOf(all, 20), (nth) => loseAt(options, losing["never ends"], nth))
  })
})

describe("a kernel that faults, at each launch", { skip }, () => {
  after(() => watchingNothing())
  const source = (parameters: string): { source: string } => ({
    source: `extern "C" __global__ void test_fault(${parameters}) {}`,
  })
  const kernels: Failing = {
    affine: defineKernel({
      name: "test_fault",
      signature: affine.signature,
      cuda: source("int n, int* x, int a, int b"),
    }),
    combine: defineKernel({
      name: "test_fault",
      signature: combine.signature,
      cuda: source("int n, const int* x, int* y"),
    }),
  }

  test("loses the CUDA device, with that as the cause of all later errors", async () => {
    const first = openDevice("cuda:0")
    const all = await launchesOf(first)
    first.dispose()
    const warnings: Error[] = []
    process.on("warning", (warning) => warnings.push(warning))
    await tryPlaces("faults", placesOf(all, 7), async (nth) => {
      const device = openDevice("cuda:0")
      try {
        const program = new Program(device, hooksFor(kernels, nth).hooks)
        const thrown = await outcome(() => program.run())
        const where = `in "${program.step}"`
        checkClear(thrown, where)
        const loss = allErrors(thrown).find((error) => error instanceof DeviceLostError)
        assert.ok(loss instanceof DeviceLostError, `${where}: ${showThrown(thrown)}`)
        await checkLost(device, loss, where)
        program.dispose()
      } finally {
        device.dispose()
        await collectUntil(() => double.alive().contexts === 0, "the context is released")
        double.forgetLost()
      }
    })
    assert.deepEqual(warnings, [], "everything was disposed of quietly")
  })
})
