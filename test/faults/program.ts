/**
 * The program of the fault suites: almost every kind of operation, in small named steps with known results. A suite runs it
 * with one failure at each possible place.
 */
import assert from "node:assert/strict"
import {
  autoParallel,
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  type Event,
  executeInParallel,
  fork,
  type Graph,
  inOrder,
  maybeExecuteInParallel,
  parallel,
  type PinnedArray,
  runIf,
  type Stream,
} from "../../src/index.js"
import { ScriptedPolicy } from "../support/scripted-policy.js"
import { affine as affineKernel, combine as combineKernel, over } from "../support/kernels.js"

const count = 64
const shape = over(count)
type Ints = DeviceArray<"int32">

/** What the program makes. Each is undefined until its step has run. */
export interface Things {
  aux?: Stream
  start?: Event
  done?: Event
  timed?: Event
  x?: Ints
  y?: Ints
  z?: Ints
  flag?: Ints
  host?: PinnedArray<"int32">
  graph?: Graph<unknown>
  conditional?: Graph<unknown>
}

/** What a suite changes in the program. */
export interface Hooks {
  /** Called before each step. */
  readonly before?: (name: string, index: number, things: Things) => void
  /** Called in each function that the program passes to the library, at its beginning and at its end. */
  readonly callback?: () => void
  /** The kernels to launch. */
  readonly affine?: () => typeof affineKernel
  readonly combine?: () => typeof combineKernel
}

/** The expected contents of the arrays. */
class Model {
  x = Array.from({ length: count }, (_, index) => index)
  y = Array<number>(count).fill(2)
  z = Array<number>(count).fill(3)
}

const affine = (array: number[], a: number, b: number): number[] => array.map((value) => (Math.imul(value, a) + b) | 0)
const combine = (from: number[], to: number[]): number[] =>
  to.map((value, index) => (Math.imul(value, 3) + (from[index] ?? 0)) | 0)

/** One run of the program. */
export class Program {
  readonly device: Device
  readonly things: Things = {}
  readonly #hooks: Hooks
  readonly #model = new Model()
  /** The step that runs, for messages. */
  step = ""

  constructor(device: Device, hooks: Hooks = {}) {
    this.device = device
    this.#hooks = hooks
  }

  /** Runs all steps. Rejects with what a step throws. */
  async run(): Promise<void> {
    for (const [index, name] of steps.entries()) {
      this.step = name
      this.#hooks.before?.(name, index, this.things)
      await bodies[name](this)
    }
  }

  /** Disposes of everything, as often as it is called. Never throws. */
  dispose(): void {
    for (const thing of Object.values(this.things) as (Disposable | undefined)[]) thing?.[Symbol.dispose]()
  }

  get have(): Required<Things> {
    return this.things as Required<Things>
  }

  get model(): Model {
    return this.#model
  }

  /** A function that the library calls. */
  fn<T>(body: () => T): () => T {
    return () => {
      this.#hooks.callback?.()
      const result = body()
      this.#hooks.callback?.()
      return result
    }
  }

  affine(x: Ints, a: number, b: number): void {
    const kernel = this.#hooks.affine?.() ?? affineKernel
    kernel.launch(shape, count, x, a, b)
  }

  combine(x: Ints, y: Ints): void {
    const kernel = this.#hooks.combine?.() ?? combineKernel
    kernel.launch(shape, count, x, y)
  }
}

const bodies = {
  "create a stream": ({ device, things }) => void (things.aux = device.createStream({ name: "aux" })),
  "create events": ({ device, things }) => {
    things.start = device.createEvent()
    things.done = device.createEvent()
    things.timed = device.createEvent({ timing: true })
  },
  "array from a typed array": ({ device, things, model }) => void (things.x = device.from(Int32Array.from(model.x))),
  "filled array": ({ device, things }) => void (things.y = device.full("int32", count, 2)),
  "zeroed array": ({ device, things }) => void (things.flag = device.zeros("int32", 1)),
  "pinned array": ({ device, things }) => {
    things.host = device.pinned("int32", count)
    things.host.array.fill(3)
  },
  "empty array, copied from a pinned one": ({ device, things, have }) => {
    things.z = device.empty("int32", count)
    things.z.copyFrom(have.host)
  },
  launch: (program) => {
    program.affine(program.have.x, 2, 1)
    program.model.x = affine(program.model.x, 2, 1)
  },
  "record and wait": ({ have: { aux, timed } }) => {
    timed.record()
    aux.wait(timed)
    currentStream(aux.device).wait(aux)
  },
  maybeExecuteInParallel: (program) => {
    const { have, model } = program
    maybeExecuteInParallel(
      program.fn(() => program.affine(have.x, 3, 0)),
      program.fn(() => program.affine(have.y, 2, 5)),
      have.start,
      have.done,
      have.aux,
    )
    model.x = affine(model.x, 3, 0)
    model.y = affine(model.y, 2, 5)
  },
  "async functions": async (program) => {
    const { have, model } = program
    const later = (body: () => void) => async (): Promise<void> => {
      await Promise.resolve()
      program.fn(body)()
      await Promise.resolve()
    }
    await maybeExecuteInParallel(
      later(() => program.affine(have.x, 1, 1)),
      later(() => program.affine(have.z, 1, 2)),
      have.start,
      have.done,
      have.aux,
    )
    model.x = affine(model.x, 1, 1)
    model.z = affine(model.z, 1, 2)
  },
  executeInParallel: (program) => {
    const { have, model } = program
    executeInParallel(
      program.fn(() => program.affine(have.z, 5, 0)),
      [program.fn(() => program.affine(have.y, 1, 4))],
      have.start,
      [have.done],
      [have.aux],
    )
    model.z = affine(model.z, 5, 0)
    model.y = affine(model.y, 1, 4)
  },
  "parallel in a scope": (program) => {
    const { device, have, model } = program
    device.scope(
      program.fn(() => {
        const [ones] = parallel([
          program.fn(() => device.full("int32", count, 1)),
          program.fn(() => program.combine(have.x, have.y)),
        ])
        program.combine(ones, have.z)
      }),
    )
    model.y = combine(model.x, model.y)
    model.z = combine(Array<number>(count).fill(1), model.z)
  },
  fork: (program) => {
    const { have, model } = program
    using forked = fork(program.fn(() => program.affine(have.x, 2, 2)))
    program.affine(have.z, 1, 1)
    forked.join()
    model.x = affine(model.x, 2, 2)
    model.z = affine(model.z, 1, 1)
  },
  autoParallel: (program) => {
    const { device, have, model } = program
    autoParallel(
      program.fn(() => {
        using ones = device.full("int32", count, 1)
        program.affine(have.x, 1, 3)
        program.combine(ones, have.z)
        ones.dispose()
        using twos = device.full("int32", count, 2)
        inOrder(program.fn(() => program.combine(twos, have.y)))
        program.combine(have.x, have.z)
      }),
    )
    model.x = affine(model.x, 1, 3)
    model.z = combine(model.x, combine(Array<number>(count).fill(1), model.z))
    model.y = combine(Array<number>(count).fill(2), model.y)
  },
  "copy between views": ({ have, model }) => {
    have.y.subarray(0, 8).copyFrom(have.x.subarray(8, 16))
    model.y.splice(0, 8, ...model.x.slice(8, 16))
  },
  "copy and fill of rows": ({ have, model }) => {
    have.z.copyFrom2D(have.x, { width: 2, height: 4, pitch: 4, sourcePitch: 8 })
    have.y.fill2D(9, { width: 2, height: 3, pitch: 16 })
    for (let row = 0; row < 4; row++) model.z.splice(row * 4, 2, ...model.x.slice(row * 8, row * 8 + 2))
    for (let row = 0; row < 3; row++) model.y.splice(row * 16, 2, 9, 9)
  },
  capture: (program) => {
    const { device, things, have } = program
    const work = program.fn(() => {
      const inside = device.full("int32", count, 4)
      parallel([
        program.fn(() => program.affine(have.x, 3, 1)),
        program.fn(() => {
          program.combine(inside, have.y)
          have.z.subarray(0, 4).fill(6)
        }),
      ])
    })
    // The first launch is the graph's own, the second its chain's.
    things.graph = captureGraph(work, { device, overlap: new ScriptedPolicy(), key: "program" })
  },
  "launches of a graph": ({ have, model }) => {
    for (let launch = 0; launch < 2; launch++) {
      have.graph.launch()
      model.x = affine(model.x, 3, 1)
      model.y = combine(Array<number>(count).fill(4), model.y)
      model.z.fill(6, 0, 4)
    }
  },
  "capture of a conditional": (program) => {
    const { device, things, have } = program
    const body = program.fn(() => program.affine(have.y, 1, 100))
    things.conditional = captureGraph(
      program.fn(() => runIf(have.flag, body)),
      { device },
    )
  },
  "launches of a conditional": ({ have, model }) => {
    have.conditional.launch()
    have.flag.fill(1)
    have.conditional.launch()
    model.y = affine(model.y, 1, 100)
  },
  "work of another library": (program) => {
    const { aux, x } = program.have
    aux.wait(currentStream(aux.device))
    aux.external(
      { reads: [x] },
      program.fn(() => {}),
    )
    aux.run(program.fn(() => program.affine(x, 1, -1)))
    currentStream(aux.device).wait(aux)
    program.model.x = affine(program.model.x, 1, -1)
  },
  completed: async ({ device, have: { aux, timed } }) => {
    await Promise.all([aux.completed(), timed.completed(), device.completed()])
  },
  "copy to a pinned array": ({ device, have, model }) => {
    have.host.copyFrom(have.z)
    currentStream(device).synchronize()
    assert.deepEqual([...have.host.array], model.z)
  },
  read: async ({ have, model }) => {
    const [x, y] = await Promise.all([have.x.read(), have.y.read()])
    assert.deepEqual([...x], model.x)
    assert.deepEqual([...y], model.y)
  },
  "read at once": ({ have, model }) => assert.deepEqual([...have.z.readSync()], model.z),
  query: ({ device, have: { aux, timed } }) => {
    device.synchronize()
    assert.ok(aux.query() && timed.query())
    assert.equal(timed.elapsedTime(timed), 0)
  },
} satisfies Record<string, (program: Program) => void | Promise<void>>

/** The names of the steps. */
export const steps = Object.keys(bodies) as (keyof typeof bodies)[]
