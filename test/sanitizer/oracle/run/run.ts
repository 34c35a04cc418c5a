/**
 * Runs programs through the public API, and tells the model of each step at the moment at which the library takes it: a
 * stream, an event or a join is both the library's and the model's.
 */
import type { OfKind, Program, Statement } from "../program.js"
import { Branches } from "./branches.js"
import { Graphs } from "./graphs.js"
import type { Judge } from "./judge.js"
import { Local, type Place } from "./place.js"
import { rest } from "./rest.js"
import { Schedule, type Steps } from "./schedule.js"
import { Setting } from "./setting.js"
import { Waits } from "./waits.js"
import type { World } from "./world.js"

type Kinds = { readonly [K in Statement["kind"]]: OfKind<Statement, K> }

export class Run {
  readonly #setting: Setting
  readonly #locals: readonly Local[]
  readonly #schedule: Schedule
  readonly #program: Program
  readonly #waits: Waits
  readonly #branches: Branches
  readonly #graphs: Graphs

  constructor(judge: Judge, worlds: readonly World[], program: Program) {
    this.#program = program
    this.#locals = worlds.map((world) => new Local(world))
    this.#schedule = new Schedule(program.seed)
    this.#setting = new Setting(judge, this.#schedule, (list, place) => this.#statements(list, place))
    this.#waits = new Waits(this.#setting)
    this.#branches = new Branches(this.#setting, this.#locals)
    this.#graphs = new Graphs(this.#setting)
  }

  async finish(): Promise<void> {
    const [local] = this.#locals
    if (local === undefined) return
    const paths = new Map(this.#locals.map((one) => [one, one.named(0)]))
    const place: Place = { local, paths, isAsync: true, capture: undefined, call: this }
    const { stream } = local.named(0)
    try {
      await this.#schedule.run(() => stream.run(() => this.#schedule.drive(this.#whole(place))))
    } finally {
      this.#setting.judge.end()
      for (const { world } of this.#locals) world.device.synchronize()
      await Promise.allSettled(this.#waits.pending)
      for (const one of this.#locals) one.dispose()
    }
  }

  *#whole(place: Place): Steps {
    yield* this.#statements(this.#program.statements, place)
    for (const local of this.#locals) {
      for (const known of local.forks)
        yield* this.#branches.join(known, { ...place, local, call: known.call }, { stream: undefined, disposes: false })
    }
  }

  *#statements(statements: readonly Statement[], place: Place): Steps {
    for (const statement of statements) yield* this.#statement(statement, place)
  }

  *#statement(statement: Statement, place: Place): Steps {
    switch (statement.kind) {
      case "start":
        return this.#setting.judge.start()
      case "action":
        return this.#act(statement, place)
      case "record":
      case "wait":
        return this.#waits.event(statement, place)
      case "order":
        return this.#waits.order(statement, place)
      case "sync":
        return place.capture === undefined ? yield* this.#waits.sync(statement, place) : undefined
      case "pause":
        if (place.isAsync) yield { kind: "pause" }
        return
      case "rest":
        return rest()
      case "make":
        return this.#make(statement, place)
      case "drop":
        return this.#drop(statement, place)
      case "if":
      case "while":
        return this.#graphs.conditional(statement, place)
      case "capture":
        return place.capture === undefined ? this.#graphs.capture(statement, place) : undefined
      case "launch":
        return this.#graphs.launch(statement, place)
      case "change":
      case "enable":
        return this.#graphs.change(statement, place)
      case "on":
      case "fresh":
      case "fork":
      case "join":
      case "leases":
      case "parallel":
      case "off":
      case "otherDevice":
        return yield* this.#branches.run(statement, place)
    }
  }

  #act({ action, stream }: Kinds["action"], place: Place): void {
    const planned = this.#setting.planner(place).plan(action)
    if (planned === undefined) return
    const path = this.#setting.path(stream, place)
    const { label, uses, queue } = planned
    const named = path === this.#setting.current(place) ? undefined : path.stream
    this.#setting.operation(
      place,
      () => this.#setting.model.attempt(path.lane, label, uses),
      () => queue(named),
    )
  }

  /** An array whose memory is wrapped must stay until the device is done. */
  #drop({ array }: Kinds["drop"], { local }: Place): void {
    const known = local.temporaries[array]
    if (known?.wrapping === undefined) known?.array.dispose()
  }

  #make({ how, length, wrap }: Kinds["make"], place: Place): void {
    const { device, number } = place.local.world
    const path = this.#setting.current(place)
    const { model } = this.#setting.judge
    const count = 1 + length
    const make = {
      empty: () => device.empty("uint8", count),
      zeros: () => device.zeros("uint8", count),
      full: () => device.full("uint8", count, 0),
      from: () => device.from(new Uint8Array(count)),
    }[how]
    const array = this.#setting.judge.quietly(make)
    model.forget(number, array.address, array.byteLength)
    const hasContents = how !== "empty"
    if (hasContents) {
      const uses = [place.local.world.whole(array).use(true)]
      model.accept(model.attempt(path.lane, how === "from" ? "upload" : "fill", uses))
    }
    model.noteBirth(array.allocation, path.lane, hasContents)
    const { local, capture } = place
    // Memory of an array that is made in a body is used again at its end.
    const wraps = wrap !== undefined && capture?.isBody !== true
    local.temporaries.push({ array, capture, isGraphs: false, wrapping: wraps ? "is wrapped" : undefined })
    if (!wraps) return
    const begin = wrap.begin % count
    const wrapping = device.wrap(array.address + begin, "uint8", Math.min(wrap.length, count - begin))
    local.temporaries.push({ array: wrapping, capture, isGraphs: false, wrapping: "wraps" })
  }
}
