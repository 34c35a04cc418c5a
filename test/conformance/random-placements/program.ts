/** Random programs for regions: made from a seed, so that a failing one can be repeated. */
import { numbersFrom } from "../../support/random.js"

/** The arrays that live as long as the program. The last ones wrap the first ones. */
export const lasting = 6
export const wrapped = 2
/** The elements of each array. */
export const arrayLength = 16

/** Some elements: of a lasting array, or of a temporary one if there is one. */
export interface View {
  readonly array: number
  /** Whether it is of a temporary array; the number is counted round. */
  readonly isTemporary: boolean
  readonly begin: number
  readonly length: number
}

/** Rows of an array, which is taken as 4 rows of 4. */
export interface Rows {
  readonly array: number
  readonly column: number
}

/** Makes a temporary array. */
export interface MakeStatement {
  readonly kind: "make"
  readonly how: "empty" | "full" | "from"
  readonly length: number
  readonly value: number
}

/** Statements that name a stream or an event, or wait, or fail. */
export type RareStatement =
  | { readonly kind: "current" | "record" | "elsewhere" | "read" | "readNow" | "external"; readonly view: View }
  | { readonly kind: "throw" | "misuse" }

export type Statement =
  | MakeStatement
  | RareStatement
  | { readonly kind: "affine" | "struct"; readonly view: View; readonly a: number; readonly b: number }
  | { readonly kind: "slow"; readonly view: View; readonly a: number; readonly b: number; readonly turns: number }
  | { readonly kind: "mix" | "copy"; readonly from: View; readonly to: View }
  | { readonly kind: "copyRows"; readonly from: Rows; readonly to: Rows; readonly width: number }
  | { readonly kind: "fillRows"; readonly rows: Rows; readonly width: number; readonly value: number }
  | { readonly kind: "fill" | "upload"; readonly view: View; readonly value: number }
  | { readonly kind: "drop"; readonly temporary: number }
  | { readonly kind: "taps" | "limit" | "convolve" | "clip" | "matmul"; readonly value: number }
  | { readonly kind: "graph"; readonly graph: number }
  | { readonly kind: "runIf"; readonly view: View; readonly body: readonly Statement[] }
  | { readonly kind: "parallel"; readonly arrays: readonly number[]; readonly a: number }
  | { readonly kind: "inOrder" | "nested" | "run" | "scope" | "single"; readonly body: readonly Statement[] }

export interface Program {
  readonly seed: number
  readonly streams: number
  readonly isCaptured: boolean
  readonly statements: readonly Statement[]
}

type Numbers = (below: number) => number

export function programOf(seed: number): Program {
  const pick = numbersFrom(seed)
  for (let turn = 0; turn < 4; turn++) pick(2)
  const isCaptured = pick(3) === 0
  const streams = [1, 2, 3, 8, 8, 8][pick(6)] ?? 8
  const count = 3 + pick(28)
  return { seed, streams, isCaptured, statements: bodyOf(pick, count, isCaptured, 0) }
}

function bodyOf(pick: Numbers, count: number, isCaptured: boolean, depth: number): Statement[] {
  return Array.from({ length: count }, () => statementOf(pick, isCaptured, depth))
}

function viewOf(pick: Numbers): View {
  const begin = pick(3) === 0 ? pick(arrayLength) : 0
  const length = begin === 0 && pick(3) > 0 ? arrayLength : 1 + pick(arrayLength - begin)
  return { array: pick(lasting), isTemporary: pick(3) === 0, begin, length }
}

const rowsOf = (pick: Numbers): Rows => ({ array: pick(lasting), column: pick(3) })

/** The kinds, each as often as it is to appear. */
const plain = [
  ...["affine", "affine", "affine", "struct", "slow", "slow", "mix", "mix", "mix", "mix", "copy", "copy"],
  ...["copyRows", "fillRows", "fillRows", "fill", "upload", "make", "make", "make", "drop", "drop"],
  ...["taps", "limit", "convolve", "clip", "matmul", "graph"],
] as const
const nesting = ["parallel", "inOrder", "nested", "run", "scope", "single"] as const
const rare = ["current", "record", "elsewhere", "external", "throw", "misuse"] as const

function kindOf(pick: Numbers, isCaptured: boolean, depth: number): Statement["kind"] {
  const chance = pick(100)
  const from = <T>(list: readonly T[]): T => list[pick(list.length)] as T
  if (chance < 8 && depth < 2) return isCaptured && pick(3) === 0 ? "runIf" : from(nesting)
  if (chance < 12) return from(rare)
  if (chance < 20 && !isCaptured) return pick(4) === 0 ? "readNow" : "read"
  return from(plain)
}

function statementOf(pick: Numbers, isCaptured: boolean, depth: number): Statement {
  const kind = kindOf(pick, isCaptured, depth)
  const view = () => viewOf(pick)
  const number = () => pick(1000) * 2 + 1
  const body = () => bodyOf(pick, 1 + pick(5), isCaptured, depth + 1)
  switch (kind) {
    case "affine":
    case "struct":
      return { kind, view: view(), a: number(), b: number() }
    case "slow":
      return { kind, view: view(), a: number(), b: number(), turns: pick(20_000) }
    case "mix":
    case "copy":
      return { kind, from: view(), to: view() }
    case "copyRows":
      return { kind, from: rowsOf(pick), to: rowsOf(pick), width: 1 + pick(2) }
    case "fillRows":
      return { kind, rows: rowsOf(pick), width: 1 + pick(2), value: number() }
    case "fill":
    case "upload":
      return { kind, view: view(), value: number() }
    case "make":
      return {
        kind,
        how: (["empty", "full", "from"] as const)[pick(3)] ?? "full",
        length: [16, 16, 64, 100][pick(4)] ?? 16,
        value: number(),
      }
    case "drop":
      return { kind, temporary: pick(8) }
    case "taps":
    case "limit":
    case "convolve":
    case "clip":
    case "matmul":
      return { kind, value: number() }
    case "graph":
      return { kind, graph: pick(2) }
    case "runIf":
      return { kind, view: view(), body: body() }
    case "parallel":
      return { kind, arrays: [2, 3, 4], a: number() }
    case "inOrder":
    case "nested":
    case "run":
    case "scope":
    case "single":
      return { kind, body: body() }
    case "current":
    case "record":
    case "elsewhere":
    case "read":
    case "readNow":
    case "external":
      return { kind, view: view() }
    case "throw":
    case "misuse":
      return { kind }
  }
}
