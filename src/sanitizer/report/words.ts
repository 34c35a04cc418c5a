/** How reports name streams and operations. */
import type { OperationKind } from "../../runtime/order/observer/operation.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import type { OperationName } from "../history/past-access.js"

/** The name of a stream without its device: `stream "aux"`, or `the default stream`. */
export function nameOf(state: StreamState): string {
  const name = plainName(state)
  if (!state.chosen && state.id !== 0) return `stream "${name}"`
  return /^(the|pool) /.test(name) ? name : `the ${name}`
}

/** The name that the program gave a stream. */
export function plainName({ name }: StreamState): string {
  return name.replace(/ of [a-z]+(:\d+)?$/, "")
}

const texts: Readonly<Record<Exclude<OperationKind, "launch">, string>> = {
  copy: "a copy",
  upload: "a copy from a typed array",
  fill: "a fill",
  read: "a read",
  matmul: "a matrix product",
  graph: "a graph launch",
  conditional: "a conditional",
  external: "work of another library",
}

/** Such as `kernel "scale"`, or `a copy`. */
export function operationText({ kind, label }: OperationName): string {
  return kind === "launch" ? `kernel "${label}"` : texts[kind]
}

/** Such as `kernel "scale"`, or `the copy`. */
export function definite(operation: OperationName): string {
  return operationText(operation).replace(/^a /, "the ")
}

/** The id of a stream's device. */
export function deviceOf({ name }: StreamState): string {
  return / of ([a-z]+(?::\d+)?)$/.exec(name)?.[1] ?? ""
}

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
