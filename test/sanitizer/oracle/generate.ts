/** Makes random programs. */
import { numbersFrom } from "../../support/random.js"
import {
  type Action,
  type Body,
  makers,
  type Named,
  type OfKind,
  type Program,
  type Region,
  type Statement,
  syncs,
  vias,
} from "./program.js"

/** What statements may be made where. */
interface Scope {
  readonly depth: number
  readonly isAsync: boolean
  readonly isCaptured: boolean
  readonly isBody: boolean
}

/** A program for a seed: always the same. `size` is the greatest number of statements of a body. */
export function programOf(seed: number, size = 14): Program {
  return new Maker(seed).program(size)
}

class Maker {
  readonly #seed: number
  readonly #below: (below: number) => number
  /** Whether the program launches its graphs again and again. */
  readonly #isOfGraphs: boolean

  constructor(seed: number) {
    this.#seed = seed
    this.#below = numbersFrom(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995)
    for (let skipped = 0; skipped < 4; skipped++) this.#below(2)
    this.#isOfGraphs = this.#chance(4)
  }

  program(size: number): Program {
    const scope = { depth: 0, isAsync: true, isCaptured: false, isBody: false }
    const statements = this.#statements(scope, 3 + this.#below(size * 2))
    const start = this.#chance(4) ? this.#below(1 + Math.floor(statements.length / 2)) : 0
    return {
      seed: this.#seed,
      statements: [...statements.slice(0, start), { kind: "start" }, ...statements.slice(start)],
    }
  }

  #chance(of: number): boolean {
    return this.#below(of) === 0
  }

  #oneOf<T>(list: readonly T[], otherwise: T): T {
    return list[this.#below(list.length)] ?? otherwise
  }

  #region(): Region {
    return { array: this.#below(24), begin: this.#below(32), length: this.#chance(12) ? 0 : 1 + this.#below(31) }
  }

  #regions(most: number): Region[] {
    return Array.from({ length: this.#below(most + 1) }, () => this.#region())
  }

  #named(): Named {
    return this.#chance(2) ? undefined : this.#below(4)
  }

  #body(scope: Scope, most = 5): Body {
    const isAsync = scope.isAsync && this.#chance(2)
    const inner = { ...scope, depth: scope.depth + 1, isAsync }
    return { isAsync, statements: this.#statements(inner, this.#below(most + 1)) }
  }

  #statements(scope: Scope, count: number): Statement[] {
    return Array.from({ length: count }, () => this.#statement(scope))
  }

  #action(): Action {
    const roll = this.#below(24)
    const [source, target, declares] = [this.#region(), this.#region(), this.#chance(3)]
    if (roll < 9) return this.#touch()
    if (roll < 12) return { kind: "copy", source, target, declares }
    if (roll < 16) return { kind: this.#oneOf(["struct", "clip", "fill", "upload"], "fill"), target, declares }
    if (roll < 17) return { kind: "convolve", source, target, declares }
    if (roll < 18) return { kind: "globals", way: this.#below(3) }
    if (roll < 19) return { kind: "external", reads: this.#regions(2), writes: this.#regions(2) }
    const rows = { width: this.#below(8), pitch: this.#below(8), sourcePitch: this.#below(8) }
    return { kind: "rows", from: this.#below(3), source, target, rows }
  }

  #touch(): OfKind<Action, "touch"> {
    const empty = { array: 0, begin: 0, length: 0 }
    const some = (of: number) => (this.#below(of) > 0 ? empty : this.#region())
    const isAlone = this.#chance(5)
    const [reads, writes] = isAlone ? [this.#regions(1), this.#regions(1)] : [[], []]
    return { kind: "touch", input: some(2), output: some(3), both: some(4), reads, writes }
  }

  #statement(scope: Scope): Statement {
    if (this.#isOfGraphs && scope.depth < 2 && this.#chance(3)) return this.#launch(this.#chance(3))
    const roll = this.#below(100)
    if (roll < 38 || scope.depth > 4) return { kind: "action", action: this.#action(), stream: this.#named() }
    if (roll < 46)
      return { kind: this.#oneOf(["record", "wait"], "wait"), event: this.#below(3), stream: this.#named() }
    if (roll < 53) return { kind: "order", before: this.#below(4), after: this.#named(), byEvent: this.#chance(2) }
    if (roll < 60) return this.#sync(scope)
    if (roll < 63) return this.#make()
    if (roll < 65) return { kind: "drop", array: this.#below(8) }
    if (roll < 70) return { kind: "join", fork: this.#below(4), disposes: this.#chance(4), stream: this.#named() }
    if (roll < 78) return this.#branches(scope)
    if (roll < 92) return this.#graph(scope, roll)
    return this.#place(scope)
  }

  #make(): Statement {
    const wrap = this.#chance(3) ? this.#region() : undefined
    return { kind: "make", how: this.#oneOf(makers, "zeros"), length: this.#below(16), wrap }
  }

  #sync(scope: Scope): Statement {
    if (scope.isAsync && this.#chance(3)) return { kind: "pause" }
    if (!scope.isCaptured && this.#chance(8)) return { kind: "rest" }
    return { kind: "sync", way: this.#oneOf(syncs, "stream"), which: this.#below(4), region: this.#region() }
  }

  #branches(scope: Scope): Statement {
    const body = this.#body(scope)
    if (this.#chance(2)) return { kind: "fork", stream: this.#chance(3) ? this.#named() : undefined, body }
    const via = this.#oneOf(vias, "parallel")
    const count = via === "maybeExecuteInParallel" ? 2 : 1 + this.#below(4)
    const streams = Array.from({ length: count - 1 }, () => (this.#chance(5) ? undefined : this.#below(4)))
    return { kind: "parallel", via, streams, bodies: Array.from({ length: count }, () => this.#body(scope)) }
  }

  #graph(scope: Scope, roll: number): Statement {
    const inner = { ...scope, isAsync: false, isCaptured: true }
    if (scope.isCaptured && roll < 84) {
      const body = this.#body({ ...inner, isBody: true })
      if (this.#chance(3)) return { kind: "while", body }
      return { kind: "if", then: body, otherwise: this.#chance(2) ? this.#body({ ...inner, isBody: true }) : undefined }
    }
    if (!scope.isCaptured && roll < 83) {
      return { kind: "capture", into: this.#chance(4) ? this.#below(3) : undefined, body: this.#body(inner, 8) }
    }
    if (roll < 85) return { kind: "change", graph: this.#below(3), node: this.#below(8), action: this.#touch() }
    if (roll < 86) return { kind: "enable", graph: this.#below(3), node: this.#below(8), enabled: this.#chance(2) }
    return this.#launch(true)
  }

  #launch(anywhere: boolean): Statement {
    return { kind: "launch", graph: this.#below(3), stream: anywhere ? this.#named() : 0 }
  }

  #leases(): Statement {
    const region = this.#region()
    const touches = (both: Region): Action => ({ ...this.#touch(), both })
    const [joining, forking] = [this.#below(4), this.#below(4)]
    return { kind: "leases", joining, forking, first: touches(region), second: touches(region) }
  }

  #place(scope: Scope): Statement {
    const roll = this.#below(6)
    const body = this.#body(scope)
    if (roll < 3) return { kind: "on", stream: this.#below(4), body }
    if (roll < 4 && this.#chance(2)) return this.#leases()
    if (roll < 4) return { kind: this.#chance(2) ? "off" : "otherDevice", body }
    return { kind: "fresh", waits: this.#chance(2), joins: this.#chance(2), body }
  }
}
