/**
 * The overlap of programs for which it is known: each kernel reads the device's clock when it begins and when it ends, and the test
 * computes the overlap from these readings alone.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, currentStream, type Device, startTrace, type Stream, type TraceReport } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { once, timed } from "../support/kernels.js"

/** Microseconds in one unit of a program's times. Shorter on a GPU, where nothing takes a thread away from a kernel. */
const UNIT = { host: 10_000, cuda: Number(process.env["AUXSTREAM_TEST_UNIT"] ?? 10_000) }
/** A thread that loses its core between the library's reading of a clock and the kernel's makes a trial useless. */
const TRIALS = 10
/** In a trial, the kernels' overlap is this close to the planned one, unless a busy machine starts them much too late. */
const NEAR = 0.1
/** Then their times are doubled, at most so often. */
const DOUBLINGS = 5

/** One stream's kernels: their units. "signal" lets those go on that "wait". */
type Lane = readonly (number | "signal" | "wait")[]

interface Known {
  readonly name: string
  readonly lanes: readonly Lane[]
  /** The overlap if nothing starts late; undefined if that depends on the number of threads. */
  readonly planned: number | undefined
}

const programs: readonly Known[] = [
  {
    name: "one after another",
    planned: 0,
    lanes: [
      [2, "signal"],
      ["wait", 2],
    ],
  },
  {
    name: "a quarter",
    planned: 0.25,
    lanes: [
      [3, "signal", 1],
      ["wait", 4],
    ],
  },
  {
    name: "a half",
    planned: 0.5,
    lanes: [
      [2, "signal", 2],
      ["wait", 4],
    ],
  },
  {
    name: "three quarters",
    planned: 0.75,
    lanes: [
      [1, "signal", 3],
      ["wait", 4],
    ],
  },
  {
    name: "1 beside 2, beginning together",
    planned: 1,
    lanes: [
      ["signal", 2],
      ["wait", 1],
    ],
  },
  {
    name: "three streams",
    planned: undefined,
    lanes: [
      [1, "signal", 3],
      ["wait", 4],
      ["wait", 2, 2],
    ],
  },
]

type Interval = readonly [begin: number, end: number]

/** (Σ busy − union) ÷ (Σ busy − longest), counted piece by piece between all readings. */
function overlapOf(lanes: readonly (readonly Interval[])[]): number {
  const times = lanes.flat(2).toSorted((a, b) => a - b)
  const busy = lanes.map(() => 0)
  let union = 0
  times.slice(1).forEach((to, index) => {
    const from = times[index] ?? to
    const isBusy = lanes.map((lane) => lane.some(([begin, end]) => begin <= from && to <= end))
    if (isBusy.includes(true)) union += to - from
    isBusy.forEach((is, lane) => (busy[lane] = (busy[lane] ?? 0) + (is ? to - from : 0)))
  })
  const sum = busy.reduce((total, time) => total + time, 0)
  return (sum - union) / (sum - Math.max(...busy))
}

/** A program on streams of a device, with the readings of its kernels. */
class Program {
  readonly #lanes: readonly Lane[]
  readonly #streams: readonly Stream[]
  readonly #times
  readonly #planned: number | undefined
  #unit: number

  constructor(device: Device, { lanes, planned }: Known) {
    this.#lanes = lanes
    this.#planned = planned
    this.#unit = UNIT[device.kind]
    this.#streams = lanes.map((_, lane) => (lane === 0 ? device.defaultStream : device.createStream()))
    this.#times = lanes.map((lane) => lane.map(() => device.zeros("int64", 2)))
    device.synchronize()
  }

  /** The first lane runs on the current stream, and signals and waits for the others' ends. */
  queue(main: Stream): void {
    const event = main.device.createEvent()
    this.#lanes.forEach((lane, index) => {
      const stream = index === 0 ? main : (this.#streams[index] ?? main)
      for (const [place, step] of lane.entries()) {
        const times = this.#times[index]?.[place]
        if (step === "signal") event.record(stream)
        else if (step === "wait") event.wait(stream)
        else if (times !== undefined) timed.launch({ ...once, stream }, step * this.#unit, times)
      }
    })
    for (const stream of this.#streams.slice(1)) main.wait(stream)
    event.dispose()
  }

  truth(): number {
    return overlapOf(
      this.#times.map((lane) =>
        lane.flatMap((times): Interval[] => {
          const [begin = 0n, end = 0n] = times.readSync()
          return end === 0n ? [] : [[Number(begin % 2n ** 50n), Number(end % 2n ** 50n)]]
        }),
      ),
    )
  }

  /** Whether the kernels overlapped about as planned. */
  isAsPlanned(truth: number): boolean {
    return this.#planned === undefined || Math.abs(truth - this.#planned) <= NEAR
  }

  /** Makes all kernels take twice as long. */
  slowDown(): void {
    this.#unit *= 2
  }

  dispose(): void {
    for (const times of this.#times.flat()) times.dispose()
    for (const stream of this.#streams.slice(1)) stream.dispose()
  }
}

/** Tries until a trial agrees, because a busy machine can disturb one. The last one must agree. */
async function agree(trace: () => Promise<TraceReport>, program: Program): Promise<void> {
  let doublings = 0
  for (let trial = 1; trial <= TRIALS; trial++) {
    const { overlap } = await trace()
    const truth = program.truth()
    const isClose = Math.abs(overlap - truth) <= 0.02
    const isUseful = program.isAsPlanned(truth) || doublings === DOUBLINGS
    if (!isUseful) {
      doublings++
      program.slowDown()
    }
    if (isClose && isUseful) return
    if (trial === TRIALS) assert.ok(isClose, `${overlap} in the trace, ${truth} by the kernels' clock`)
  }
}

forEachOpenDevice("known overlap", (open) => {
  for (const known of programs) {
    test(`§12 ${known.name}: the trace agrees within 2 % with the kernels' own clock, wherever its times are from`, async () => {
      const device = open()
      const program = new Program(device, known)
      const trace = async (times: "events" | "cupti") => {
        const running = startTrace({ times })
        program.queue(device.defaultStream)
        return running.stop()
      }
      await agree(() => trace("events"), program)
      if (device.kind === "cuda") await agree(() => trace("cupti"), program)
      program.dispose()
    })
  }

  test("§12 the same in a graph: its nodes agree, if the device tells about them", async () => {
    const device = open()
    const [, , known] = programs
    assert.ok(known !== undefined)
    const program = new Program(device, known)
    const queue = () => program.queue(currentStream(device))
    using graph = captureGraph(queue, { device })
    const trace = async () => {
      graph.update(queue)
      const running = startTrace({ times: "cupti" })
      graph.launch()
      return running.stop()
    }
    const { data } = await trace()
    if (data.spans.some(({ kind }) => kind === "node")) await agree(trace, program)
    program.dispose()
  })
})
