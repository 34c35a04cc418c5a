/** Graphs: captures, launches, changes, and conditionals. */
import {
  captureGraph,
  currentStream,
  type DeviceArray,
  type PinnedArray,
  runIf,
  runWhile,
  type Stream,
} from "../../../../src/index.js"
import type { ModelGraph } from "../model/graph.js"
import type { Use } from "../model/order.js"
import type { Body, OfKind, Statement } from "../program.js"
import { Planner } from "./actions.js"
import type { Capturing, KnownFork, Path, Place } from "./place.js"
import type { Setting } from "./setting.js"
import { touch } from "./world.js"

type Kinds = { readonly [K in Statement["kind"]]: OfKind<Statement, K> }

export class Graphs {
  readonly #setting: Setting

  constructor(setting: Setting) {
    this.#setting = setting
  }

  capture({ into, body }: Kinds["capture"], place: Place): void {
    const { local } = place
    const { device } = local.world
    const former = into === undefined ? undefined : local.graph(into)
    const capture: Capturing = { isBody: false, made: [] }
    const forks = local.forks.length
    let captured: ModelGraph | undefined
    const fn = () => {
      captured = this.#body(body, place, capture, former?.model)
      return local.temporaries.filter((one) => one.capture === capture).map(({ array }) => array)
    }
    const graph = former === undefined ? captureGraph(fn, { device }) : undefined
    former?.graph.update(fn)
    for (const made of local.forks.splice(forks)) made.fork.dispose()
    this.#release(capture, place, captured, has(body, hasOtherwise))
    const hasConditionals = has(body, isConditional)
    if (former !== undefined) former.hasConditionals = hasConditionals
    else if (graph !== undefined && captured !== undefined)
      local.graphs.push({ graph, model: captured, hasConditionals })
  }

  #body(body: Body, place: Place, capture: Capturing, into: ModelGraph | undefined): ModelGraph {
    const { model } = this.#setting
    const root = place.local.path(currentStream(place.local.world.device))
    model.beginCapture(root.lane)
    try {
      this.#setting.body(body, this.#setting.with({ ...place, capture }, root))
    } catch (error) {
      model.endCapture(into)
      throw error
    }
    return model.endCapture(into)
  }

  /** The capture has ended: its arrays can be used outside. */
  #release(capture: Capturing, { local }: Place, graph: ModelGraph | undefined, hasCopies: boolean): void {
    for (const one of local.temporaries) {
      if (one.capture !== capture) continue
      one.capture = undefined
      one.isGraphs = true
      // An update of the graph frees its memory, and the library does not know of uses by a wrap.
      if (one.wrapping === "wraps") one.array.dispose()
      else graph?.owns(one.array.allocation)
      // They may have the memory of a condition's copy, whose address the model does not know.
      if (hasCopies) one.array.dispose()
    }
    for (const stream of capture.made) stream.dispose()
  }

  launch({ graph: number, stream }: Kinds["launch"], place: Place): void {
    const known = place.local.graph(number)
    if (known === undefined) return
    const { graph, model, hasConditionals } = known
    if (place.capture !== undefined && (place.capture.isBody || hasConditionals || model.disabled.size > 0)) return
    const path = this.#setting.path(stream, place)
    const named = path === this.#setting.current(place) ? undefined : path.stream
    this.#setting.operation(
      place,
      () => this.#setting.model.attemptGraph(path.lane, model),
      () => graph.launch(named),
    )
  }

  change(statement: Kinds["change" | "enable"], place: Place): void {
    const known = place.local.graph(statement.graph)
    if (known === undefined || place.capture !== undefined) return
    const { model, graph } = known
    const number = statement.node % Math.max(1, model.space.tops.length)
    const [top, node] = [model.space.tops[number], graph.nodes[number]]
    if (top === undefined || node?.launches(touch) !== true) return
    if (statement.kind === "enable") {
      node.enabled = statement.enabled
      if (statement.enabled) model.disabled.delete(top.first)
      else model.disabled.add(top.first)
    } else if (statement.action.kind === "touch") {
      const arrays = place.local.temporaries.filter((one) => !one.isGraphs && !one.array.disposed)
      const planner = new Planner(
        place.local.world,
        arrays.map(({ array }) => array),
        false,
      )
      const found = planner.arguments(statement.action)
      if (found === undefined) return
      node.setArguments(...found.args)
      model.change(top.first, found.uses)
    }
  }

  conditional(statement: Kinds["if" | "while"], place: Place): void {
    if (place.capture === undefined) return
    const { local } = place
    const condition = local.world.conditions[statement.kind === "while" ? 0 : 1]
    if (condition === undefined) return
    const { model, judge } = this.#setting
    const around = this.#setting.current(place)
    const reads = [local.world.whole<DeviceArray | PinnedArray>(condition).use(false)]
    const bodies = new Bodies(this.#setting, place, around)
    const otherwise = statement.kind === "if" ? statement.otherwise : undefined
    const attempt = () => model.attempt(around.lane, otherwise === undefined ? statement.kind : "copy", reads)
    const queue = () => {
      if (statement.kind === "while") runWhile(condition, bodies.function(statement.body, "while", reads))
      else if (otherwise === undefined) runIf(condition, bodies.function(statement.then, "if", reads))
      else {
        // Both bodies use a copy of the condition, which has been made when the first one is called.
        const then = bodies.function(statement.then, "if", [], () => model.accept(attempt()))
        runIf(condition, then, bodies.function(otherwise, "unless", []))
      }
    }
    local.apart(() => judge.block(attempt, queue, this.#setting.fixer(place), around.stream))
    bodies.release()
  }
}

/** The bodies of a conditional. */
class Bodies {
  readonly #setting: Setting
  readonly #place: Place
  readonly #around: Path
  readonly #made: Stream[] = []
  readonly #ended: KnownFork[] = []

  constructor(setting: Setting, place: Place, around: Path) {
    this.#setting = setting
    this.#place = place
    this.#around = around
  }

  /** @param uses how the conditional uses the condition */
  function(body: Body, label: string, uses: readonly Use[], begin?: () => void): () => void {
    const { local } = this.#place
    const { model } = this.#setting
    return () => {
      begin?.()
      const root = local.path(currentStream(local.world.device))
      const capture: Capturing = { isBody: true, made: this.#made }
      const forks = local.forks.length
      model.beginCapture(root.lane, this.#around.lane)
      this.#setting.body(body, this.#setting.with({ ...this.#place, capture }, root))
      this.#ended.push(...local.forks.splice(forks))
      for (const one of local.temporaries) if (one.capture === capture) one.array.dispose()
      model.accept(model.endBody(label, this.#around.lane, uses))
    }
  }

  /** The conditional has been captured. */
  release(): void {
    for (const { fork } of this.#ended) fork.dispose()
    this.#place.capture?.made.push(...this.#made)
  }
}

/** Whether a body has such a statement, at any depth. */
function has(body: Body, isMeant: (statement: Statement) => boolean): boolean {
  return body.statements.some((statement) => {
    if (isMeant(statement)) return true
    if (statement.kind === "parallel") return statement.bodies.some((one) => has(one, isMeant))
    if (statement.kind === "if") {
      return has(statement.then, isMeant) || (statement.otherwise !== undefined && has(statement.otherwise, isMeant))
    }
    return "body" in statement && has(statement.body, isMeant)
  })
}

function isConditional({ kind }: Statement): boolean {
  return kind === "if" || kind === "while"
}

function hasOtherwise(statement: Statement): boolean {
  return statement.kind === "if" && statement.otherwise !== undefined
}
