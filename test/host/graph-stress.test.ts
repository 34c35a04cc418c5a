import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { GraphHandle, KernelHandle, StreamHandle } from "../../src/driver/handles.js"
import type { MemoryRange } from "../../src/driver/kernels.js"
import { launch, open, source } from "./device.js"
import { numbersFrom } from "../support/random.js"

/** How long each number of threads is tried, and after how long a stream counts as stuck. */
const milliseconds = 3000
const patience = 60_000

const cellCount = 64
/** A cell that is never zero, for conditionals. */
const trueCell = 63
/** How many kernels take so long that the run of their graph is interrupted. */
const slowCell = 62
/** A kernel that takes a while if its argument says so. */
const dawdle =
  `if (Atomics.load(args[0], ${slowCell}) > 0 && Atomics.sub(args[0], ${slowCell}, 1) > 0) ` +
  "for (const end = performance.now() + 6; performance.now() < end; );"
const step = source(
  "step",
  ["inout int32*", "int32", "int32"],
  `${dawdle} args[0][args[1]] = Math.imul(args[0][args[1]], 5) + args[2]`,
)
const combine = source(
  "combine",
  ["inout int32*", "int32", "int32"],
  "args[0][args[1]] = Math.imul(args[0][args[1]], 3) + args[0][args[2]]",
)

/** What one kernel does to the cells. */
type Effect = (cells: Int32Array) => void

/** A graph, and the effect of one launch. */
interface Case {
  readonly graph: GraphHandle
  readonly effects: readonly Effect[]
  /** The stream of its latest launch. */
  last: StreamHandle | undefined
}

/** Graphs of small kernels on several branches, launched back to back on several streams. */
class Stress {
  readonly #driver: Driver
  readonly #cells: MemoryRange
  readonly #words: Int32Array
  readonly #expected = new Int32Array(cellCount)
  readonly #streams: readonly StreamHandle[]
  readonly #step: KernelHandle
  readonly #combine: KernelHandle

  constructor(driver: Driver) {
    const { address, buffer, byteOffset } = driver.memory.allocatePinned(4 * cellCount)
    this.#driver = driver
    this.#cells = { address, length: cellCount }
    this.#words = new Int32Array(buffer, byteOffset, cellCount)
    this.#streams = Array.from({ length: 4 }, () => driver.streams.create(0))
    this.#words[trueCell] = 1
    this.#expected[trueCell] = 1
    this.#step = driver.kernels.load(step)
    this.#combine = driver.kernels.load(combine)
  }

  /** Launches several graphs many times, in any order between graphs. */
  round(seed: number): void {
    const random = numbersFrom(seed)
    const cases = Array.from({ length: 4 }, (_, index) => this.#capture(random, index * 8, 2 + random(3), true))
    for (let count = 0; count < 200; count++) this.#launch(seed, cases[random(4)], this.#streams[random(4)], random)
    this.#finish(seed)
    for (const { graph } of cases) this.#driver.graphs.destroy(graph)
  }

  #order(before: StreamHandle, behind: StreamHandle): void {
    const event = this.#driver.events.create(false)
    this.#driver.events.record(event, before)
    this.#driver.streams.wait(behind, event)
    this.#driver.events.destroy(event)
  }

  /**
   * Each branch has a cell. A branch that reads another's cell waits for it, and the other waits for the read before it
   * writes again. Some kernels are in the body of a conditional, and sometimes a graph with its own cells is launched.
   */
  #capture(random: (below: number) => number, firstCell: number, width: number, hasChild: boolean): Case {
    const driver = this.#driver
    const child = hasChild ? this.#capture(random, firstCell + 5, 2 + random(2), false) : undefined
    const branches = Array.from({ length: width }, () => driver.streams.create(0))
    const effects: Effect[] = []
    const [root = 0, ...others] = branches
    driver.graphs.beginCapture(root)
    for (const other of others) this.#order(root, other)
    for (let count = 3 + random(12); count > 0; count--) {
      const [place, from, value] = [random(width), random(width), random(1000)]
      const stream = branches[place] ?? root
      this.#maybeInside(random(4) === 0, stream, (inside) => {
        launch(driver, inside, this.#step, this.#cells, firstCell + place, value)
      })
      effects.push((cells) => void (cells[firstCell + place] = Math.imul(cells[firstCell + place] ?? 0, 5) + value))
      if (child !== undefined && random(6) === 0) {
        driver.graphs.launch(child.graph, root)
        effects.push(...child.effects)
      }
      if (from === place || random(2) === 0) continue
      const other = branches[from] ?? root
      this.#order(other, stream)
      launch(driver, stream, this.#combine, this.#cells, firstCell + place, firstCell + from)
      effects.push((cells) => {
        cells[firstCell + place] = Math.imul(cells[firstCell + place] ?? 0, 3) + (cells[firstCell + from] ?? 0)
      })
      this.#order(stream, other)
    }
    for (const other of others) this.#order(other, root)
    const graph = driver.graphs.endCapture(root, undefined)
    for (const stream of branches) driver.streams.destroy(stream)
    if (child !== undefined) driver.graphs.destroy(child.graph)
    return { graph, effects, last: undefined }
  }

  #maybeInside(isInside: boolean, stream: StreamHandle, work: (stream: StreamHandle) => void): void {
    if (!isInside) return work(stream)
    const body = this.#driver.streams.create(0)
    this.#driver.graphs.beginConditional("if", this.#cells.address + 4 * trueCell, stream, body)
    work(body)
    this.#driver.graphs.endConditional(body)
    this.#driver.streams.destroy(body)
  }

  #launch(
    seed: number,
    launched: Case | undefined,
    stream: StreamHandle | undefined,
    random: (below: number) => number,
  ): void {
    if (launched === undefined || stream === undefined) return
    if (launched.last !== undefined && launched.last !== stream) this.#order(launched.last, stream)
    this.#driver.graphs.launch(launched.graph, stream)
    launched.last = stream
    for (const effect of launched.effects) effect(this.#expected)
    // Threads interleave differently: sometimes everything is queued at once, sometimes a worker has just gone to sleep.
    if (random(8) === 0) for (let turn = random(20_000); turn > 0; turn--) Math.sqrt(turn)
    if (random(64) === 0) this.#await(stream, seed)
    if (random(16) === 0) Atomics.store(this.#words, slowCell, 1)
  }

  #finish(seed: number): void {
    for (const stream of this.#streams) this.#await(stream, seed)
    this.#words[slowCell] = 0
    assert.deepEqual(this.#words, this.#expected, `seed ${seed}`)
  }

  #await(stream: StreamHandle, seed: number): void {
    const end = performance.now() + patience
    while (!this.#driver.streams.query(stream)) {
      if (performance.now() > end) assert.fail(`a stream never came to its end, seed ${seed}`)
    }
  }
}

for (const threads of [1, 2, 3, 4]) {
  describe(`graphs of small kernels on ${threads} threads`, () => {
    let driver: Driver | undefined
    before(() => {
      driver = open(threads)
    })
    after(() => driver?.close())

    test("launches back to back lose no branch and give exact results", () => {
      assert.ok(driver)
      const stress = new Stress(driver)
      const end = performance.now() + milliseconds
      for (let seed = threads; performance.now() < end; seed += 4) stress.round(seed)
    })
  })
}
