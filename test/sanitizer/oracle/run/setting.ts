/** What all statements need: streams, operations, and functions of the program. */
import type { DeviceArray, Stream } from "../../../../src/index.js"
import type { Attempt, Model } from "../model/model.js"
import type { Before } from "../model/order.js"
import type { Body, Statement } from "../program.js"
import { Planner } from "./actions.js"
import type { Fixer, Judge } from "./judge.js"
import type { Path, Place } from "./place.js"
import { atOnce, type Schedule, type Step, type Steps } from "./schedule.js"

export class Setting {
  readonly judge: Judge
  readonly #schedule: Schedule
  /** Runs statements. */
  readonly #statements: (statements: readonly Statement[], place: Place) => Steps

  constructor(judge: Judge, schedule: Schedule, statements: (list: readonly Statement[], place: Place) => Steps) {
    this.judge = judge
    this.#schedule = schedule
    this.#statements = statements
  }

  get model(): Model {
    return this.judge.model
  }

  current({ local, paths }: Place): Path {
    return paths.get(local) ?? local.named(0)
  }

  /** A named stream, or the current one. Inside a capture, it becomes part of that. */
  path(named: number | undefined, place: Place): Path {
    const current = this.current(place)
    if (named === undefined || place.capture?.isBody === true) return current
    const path = place.local.named(named)
    if (place.capture !== undefined && !this.model.order.isMember(path.lane)) {
      path.stream.wait(current.stream)
      this.model.order.wait(path.lane, current.lane.before)
    }
    return path
  }

  with(place: Place, path: Path): Place {
    return { ...place, paths: new Map(place.paths).set(place.local, path) }
  }

  planner(place: Place): Planner {
    const { local, capture } = place
    const isThere = (made: unknown) => made === undefined || made === capture
    const usable = local.temporaries.filter((one) => !one.array.disposed && isThere(one.capture))
    const arrays: DeviceArray<"uint8">[] = usable.map(({ array }) => array)
    return new Planner(local.world, arrays, capture !== undefined)
  }

  operation(place: Place, attempt: () => Attempt, queue: () => void): void {
    this.judge.operation(attempt, queue, this.fixer(place))
  }

  /** The stream to name in a call; undefined if it is the current one. */
  named(path: Path, place: Place): Stream | undefined {
    return path === this.current(place) ? undefined : path.stream
  }

  /** A wait that a test may leave out. */
  wait({ lane }: Path, point: Before, wait: () => void): void {
    if (this.judge.leavesOut()) return
    wait()
    this.model.order.wait(lane, point)
  }

  /** Runs a body at once. */
  body({ statements }: Body, place: Place): void {
    atOnce(this.#statements(statements, { ...place, isAsync: false }))
  }

  /** The body as a function, which is async if the place is. `end` is called when it has ended. */
  function(body: Body, place: Place, end?: () => void): () => unknown {
    const steps = () => this.#ending(body, { ...place, call: {} }, end)
    return place.isAsync ? () => this.#schedule.drive(steps()) : () => atOnce(steps())
  }

  *#ending(body: Body, place: Place, end?: () => void): Steps {
    yield* this.#statements(body.statements, place)
    // So that the library does one thing at a time: what follows the end of this function, before another one continues.
    if (place.isAsync) yield { kind: "pause" }
    end?.()
  }

  fixer({ local, capture }: Place): Fixer {
    const { order } = this.model
    const { device } = local.world
    return {
      describe: ({ waiting, recording, call }) => {
        if (waiting !== undefined && recording !== undefined) {
          return { waiting: local.nameOf(waiting), recording: local.nameOf(recording) }
        }
        return call === "device.synchronize()" && capture === undefined ? "synchronize" : undefined
      },
      apply: (fix) => {
        if (fix === "synchronize") {
          device.synchronize()
          return order.learn(local.everything)
        }
        const [waiting, recording] = [local.pathOf(fix.waiting), local.pathOf(fix.recording)]
        if (waiting === undefined || recording === undefined) return
        // The wait that was left out had made the stream part of the capture.
        if (capture !== undefined && recording.stream.state.capture === undefined) return
        const point = local.recorded(recording.stream)
        waiting.stream.wait(recording.stream.record())
        order.wait(local.latest(waiting.stream).lane, point)
      },
    }
  }
}

/** Awaits what a function of the library returned. */
export function calling(result: unknown, after: () => void): Step {
  return { kind: "call", promise: Promise.resolve(result), after }
}
