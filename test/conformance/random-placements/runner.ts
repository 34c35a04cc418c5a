/** Runs random programs, in a region or in plain sequence. */
import {
  autoParallel,
  captureGraph,
  currentStream,
  defineModule,
  type Device,
  type DeviceArray,
  type Graph,
  inOrder,
  parallel,
  type PlacementReport,
  runIf,
  type Stream,
  withMultiStream,
} from "../../../src/index.js"
import { matmul } from "../../../src/blas/index.js"
import { affine, affineOfStruct, combine, once, over, spin } from "../../support/kernels.js"
import {
  arrayLength,
  lasting,
  type MakeStatement,
  type Program,
  type RareStatement,
  type Rows,
  type Statement,
  type View,
  wrapped,
} from "./program.js"

type Ints = DeviceArray<"int32">
type Floats = DeviceArray<"float32">

/** The error of a program that throws on purpose. */
class ProgramError extends Error {}

const hostFilters = `
export function convolve(launch, n, x, y) {
  for (let i = 0; i < n; i++) {
    y[i] = 0
    for (let k = 0; k < 4 && k <= i; k++) y[i] += launch.globals.taps[k] * x[i - k]
  }
}
export function clip(launch, n, limit, x) {
  for (let i = 0; i < n; i++) if (x[i] > limit) { x[i] = limit; launch.globals.clipped[0]++ }
}`

function defineFilters() {
  const module = defineModule({
    cuda: { file: new URL("../../../examples/filters/filters.cu", import.meta.url) },
    host: { source: hostFilters },
    globals: { taps: ["float32", 4, "constant"], clipped: ["int32", 1] },
  })
  const convolve = module.kernel({ name: "convolve", signature: ["int32", "in float32*", "out float32*"] })
  const clip = module.kernel({ name: "clip", signature: ["int32", "float32", "inout float32*"] })
  return { module, convolve, clip }
}

/** What a program leaves behind. */
export interface Outcome {
  readonly arrays: readonly Int32Array[]
  readonly floats: readonly Float32Array[]
  readonly clipped: number
  readonly reads: readonly Int32Array[]
  readonly error: string | undefined
}

/** The arrays, streams and graphs that all programs use. */
export class World {
  readonly device: Device
  readonly ints: Ints[]
  readonly floats: readonly [Floats, Floats, Floats]
  readonly #filters = defineFilters()
  readonly #other: Stream
  readonly #graphs: Graph<void>[]
  #reads: Promise<Int32Array>[] = []
  #temporary: Ints[] = []
  report: PlacementReport | undefined

  constructor(device: Device) {
    this.device = device
    const own = Array.from({ length: lasting - wrapped }, () => device.zeros("int32", arrayLength))
    this.ints = [...own, ...own.slice(0, wrapped).map(({ address }) => device.wrap(address, "int32", arrayLength))]
    this.floats = [0, 1, 2].map(() => device.zeros("float32", arrayLength)) as [Floats, Floats, Floats]
    this.#other = device.createStream()
    this.#graphs = [0, 1].map((index) => this.#capture(index))
  }

  async prepare(): Promise<void> {
    await this.#filters.module.prepare(this.device)
    for (const kernel of [affine, affineOfStruct, combine, spin]) await kernel.prepare(this.device)
  }

  #int(index: number): Ints {
    return at(this.ints, index)
  }

  #capture(index: number): Graph<void> {
    const [x, y, z] = [this.#int(index), this.#int(index + 1), this.#int(index + 2)]
    return captureGraph(() => {
      const inside = this.device.full("int32", arrayLength, index)
      mix(x, y)
      mix(inside, x)
      mix(x, inside)
      parallel([() => mix(inside, y), () => mix(inside, z)])
    })
  }

  #reset(): void {
    this.ints.forEach((x, index) => {
      if (index < lasting - wrapped) x.copyFrom(Int32Array.from({ length: arrayLength }, (_, at) => index * 100 + at))
    })
    this.floats.forEach((x, index) =>
      x.copyFrom(Float32Array.from({ length: arrayLength }, (_, at) => (index + at) % 5)),
    )
    this.#filters.module.global(this.device, "taps").copyFrom(Float32Array.of(1, 2, 3, 4))
    this.#filters.module.global(this.device, "clipped").fill(0)
    this.device.synchronize()
    this.#reads = []
    this.#temporary = []
  }

  /** Runs a program. In a region, nothing but the region differs. */
  async run({ statements, isCaptured, streams }: Program, isPlaced: boolean): Promise<Outcome> {
    this.#reset()
    this.report = undefined
    const explain = (report: PlacementReport) => (this.report = report)
    const body = () => this.#body(statements)
    const placed = isPlaced ? () => autoParallel(body, { streams, explain }) : body
    let error: string | undefined
    try {
      if (!isCaptured) placed()
      else {
        using graph = captureGraph(placed)
        graph.launch()
        graph.launch()
      }
    } catch (thrown) {
      if (!(thrown instanceof Error)) throw thrown
      if (thrown.name === "DataRaceError" || !isExpected(thrown)) throw thrown
      error = thrown.message
    }
    for (const array of this.#temporary.splice(0)) array.dispose()
    const reads = await Promise.all(this.#reads)
    return { ...this.#outcome(), reads, error }
  }

  #outcome() {
    return {
      arrays: this.ints.map((x) => x.readSync()),
      floats: this.floats.map((x) => x.readSync()),
      clipped: this.#filters.module.global(this.device, "clipped").readSync()[0] ?? -1,
    }
  }

  #body(statements: readonly Statement[]): void {
    for (const statement of statements) this.#statement(statement)
  }

  #view({ array, isTemporary, begin, length }: View): Ints {
    const list = isTemporary && this.#temporary.length > 0 ? this.#temporary : this.ints
    const whole = at(list, array)
    return whole.subarray(begin, Math.min(whole.length, begin + length))
  }

  #rows({ array, column }: Rows): Ints {
    return this.#int(array).subarray(column)
  }

  #statement(statement: Statement): void {
    const { device } = this
    switch (statement.kind) {
      case "affine":
        return change(this.#view(statement.view), statement.a, statement.b)
      case "struct": {
        const x = this.#view(statement.view)
        return affineOfStruct.launch(over(x.length), { a: statement.a, x, b: statement.b, n: x.length })
      }
      case "slow":
        return inOrder(() => {
          spin.launch(once, statement.turns)
          change(this.#view(statement.view), statement.a, statement.b)
        })
      case "mix":
        return mixParts(this.#view(statement.from), this.#view(statement.to))
      case "copy": {
        const [from, to] = equal(this.#view(statement.from), this.#view(statement.to))
        return areApart(from, to) ? void to.copyFrom(from) : undefined
      }
      case "copyRows": {
        if (statement.from.array % 4 === statement.to.array % 4) return
        const shape = { width: statement.width, height: 3, pitch: 4, sourcePitch: 4 }
        return void this.#rows(statement.to).copyFrom2D(this.#rows(statement.from), shape)
      }
      case "fillRows":
        return void this.#rows(statement.rows).fill2D(statement.value, { width: statement.width, height: 3, pitch: 4 })
      case "fill":
        return void this.#view(statement.view).fill(statement.value)
      case "upload": {
        const x = this.#view(statement.view)
        return void x.copyFrom(new Int32Array(x.length).fill(statement.value))
      }
      case "make":
        return void this.#temporary.push(this.#make(statement))
      case "drop":
        return this.#temporary.splice(statement.temporary, 1)[0]?.dispose()
      case "taps":
        return void this.#filters.module.global(device, "taps").copyFrom(Float32Array.of(statement.value % 7, 1, 2, 3))
      case "limit":
        return void this.floats[1].fill(statement.value % 50)
      case "convolve":
        return this.#filters.convolve.launch(over(arrayLength), arrayLength, this.floats[0], this.floats[1])
      case "clip":
        return this.#filters.clip.launch(over(arrayLength), arrayLength, statement.value % 40, this.floats[1])
      case "matmul": {
        const [a, b, c] = this.floats
        return matmul(
          statement.value % 4 === 1 ? { a, b, out: c, m: 4, n: 4, k: 4 } : { a: b, b: c, out: a, m: 4, n: 4, k: 4 },
        )
      }
      case "graph":
        return this.#graphs[statement.graph]?.launch()
      case "runIf": {
        const flag = this.#view(statement.view).subarray(0, 1)
        return runIf(flag, () => this.#apart(statement.body))
      }
      case "parallel":
        return void parallel(
          statement.arrays.map((array) => () => {
            change(this.#int(array), statement.a, array)
            if (array !== 4) return
            const inside = device.full("int32", arrayLength, array)
            mix(inside, this.#int(array))
            inside.dispose()
          }),
        )
      case "inOrder":
        return inOrder(() => this.#body(statement.body))
      case "nested":
        return autoParallel(() => this.#body(statement.body))
      case "run":
        return currentStream(device).run(() => this.#body(statement.body))
      case "scope":
        return device.scope(() => this.#apart(statement.body))
      case "single":
        return withMultiStream(false, () => this.#body(statement.body))
      case "current":
      case "record":
      case "elsewhere":
      case "read":
      case "readNow":
      case "external":
      case "throw":
      case "misuse":
        return this.#rare(statement)
    }
  }

  #rare(statement: RareStatement): void {
    const { device } = this
    if (!("view" in statement)) {
      if (statement.kind === "throw") throw new ProgramError("on purpose")
      return affine.launch(over(1), 1, this.floats[0] as unknown as Ints, 1, 1)
    }
    const x = this.#view(statement.view)
    const current = () => currentStream(device)
    switch (statement.kind) {
      case "current":
        return affine.launch({ ...over(x.length), stream: current() }, x.length, x, 5, 3)
      case "record": {
        using event = device.createEvent()
        event.record()
        return event.wait()
      }
      case "elsewhere":
        this.#other.wait(current())
        affine.launch({ ...over(x.length), stream: this.#other }, x.length, x, 7, 1)
        return current().wait(this.#other)
      case "read":
        return void this.#reads.push(x.read())
      case "readNow":
        return void this.#reads.push(Promise.resolve(x.readSync()))
      case "external":
        return current().external({ writes: [x] }, () => {})
    }
  }

  #make({ how, length, value }: MakeStatement): Ints {
    const { device } = this
    if (how === "full") return device.full("int32", length, value)
    if (how === "from") return device.from(new Int32Array(length).fill(value))
    // Its contents are written at once, because the next program would find others there.
    return device.empty("int32", length).fill(value)
  }

  /** Runs a body whose temporary arrays end with it. */
  #apart(body: readonly Statement[]): void {
    const outer = this.#temporary
    this.#temporary = []
    try {
      this.#body(body)
    } finally {
      for (const array of this.#temporary) array.dispose()
      this.#temporary = outer
    }
  }
}

/** An element of a list that is not empty; the index is counted round. */
function at<T>(list: readonly T[], index: number): T {
  const element = list[index % list.length]
  if (element === undefined) throw new RangeError("The list is empty.")
  return element
}

function isExpected(error: Error): boolean {
  return error instanceof ProgramError || ("code" in error && error.code === "AUX_DTYPE_MISMATCH")
}

function change(x: Ints, a: number, b: number): void {
  affine.launch(over(x.length), x.length, x, a, b)
}

function mix(x: Ints, y: Ints): void {
  combine.launch(over(x.length), x.length, x, y)
}

function equal(x: Ints, y: Ints): readonly [Ints, Ints] {
  const length = Math.min(x.length, y.length)
  return [x.subarray(0, length), y.subarray(0, length)]
}

function areApart(x: Ints, y: Ints): boolean {
  return x.address + x.byteLength <= y.address || y.address + y.byteLength <= x.address
}

/** A kernel whose arguments overlap gives another result on each device. */
function mixParts(from: Ints, to: Ints): void {
  const [x, y] = equal(from, to)
  if (areApart(x, y)) mix(x, y)
}
