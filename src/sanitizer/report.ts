/** Makes the error of a race, with a text for readers that have never met a vector clock. */
import type { StreamState } from "../runtime/order/stream-state.js"
import { DataRaceError, type RaceAccess } from "./data-race-error.js"
import { fixOf } from "./fix.js"
import type { AccessFacts, QueuedOperation } from "./past-access.js"
import type { Race } from "./race.js"
import { stackText } from "./stack.js"
import { nameOf, operationText, plainName } from "./words.js"

export function errorOf(race: Race): DataRaceError {
  const { queued, access, past, begin, end, history, allocation } = race
  const facts = {
    current: accessOf(queued, access),
    previous: accessOf(past.operation, past),
    range: { address: begin, byteLength: end - begin },
    allocation: stackText(allocation?.stack),
    missing: missing(race),
    fix: fixOf(queued, history, past),
  }
  const lines = [
    `Data race: ${headline(race)}`,
    "",
    ...accessLines("This operation", queued, access),
    ...accessLines("The earlier one", past.operation, past),
    ...memoryLines(race),
    `  What is missing:  ${facts.missing}`,
    `  How to fix it:    ${facts.fix.text}`,
  ]
  return new DataRaceError(lines.join("\n"), facts)
}

function accessOf({ lane: { stream }, kind, label, region, stack }: QueuedOperation, facts: AccessFacts): RaceAccess {
  return {
    operation: facts.node ?? label,
    kind,
    argument: facts.argument,
    name: facts.name,
    access: facts.mode === "overwrite" ? "write" : facts.mode,
    device: deviceOf(stream),
    stream: { name: plainName(stream), id: stream.id },
    region: region && { name: region.region.name, function: region.index },
    stack: stackText(stack),
  }
}

function deviceOf({ name }: StreamState): string {
  return / of ([a-z]+(?::\d+)?)$/.exec(name)?.[1] ?? ""
}

function verb({ mode }: AccessFacts): string {
  return mode === "read" ? "reads" : mode === "readwrite" ? "reads and writes" : "writes"
}

function participle({ mode }: AccessFacts): string {
  return mode === "read" ? "reading" : mode === "readwrite" ? "reading and writing" : "writing"
}

function headline({ queued, access, past }: Race): string {
  const now = `${operationText(queued)} on ${nameOf(queued.lane.stream)}`
  const before = `${operationText(past.operation)} on ${nameOf(past.operation.lane.stream)}`
  return `${now} ${verb(access)} memory that ${before} may still be ${participle(past)}.`
}

function accessLines(title: string, operation: QueuedOperation, facts: AccessFacts): string[] {
  const { lane, region, stack } = operation
  const what = [
    operationText(operation),
    facts.node === undefined ? undefined : `${quotedNode(facts.node)} in it`,
    facts.argument === undefined ? undefined : `argument ${facts.argument}`,
    facts.name === undefined ? undefined : `global "${facts.name}"`,
    verb(facts),
    `on ${nameOf(lane.stream)}`,
  ]
  const where =
    region === undefined ? [] : [`                    in ${functionText(region.index)}${region.region.name}()`]
  return [
    `  ${`${title}:`.padEnd(18)}${what.filter((each) => each !== undefined).join(", ")}`,
    ...where,
    ...stackLines(stackText(stack)),
  ]
}

function quotedNode(label: string): string {
  return `"${label}"`
}

function functionText(index: number | undefined): string {
  if (index === undefined) return ""
  return index === 0 ? "the main function of " : `function ${index} of `
}

function stackLines(stack: string): string[] {
  return stack === "" ? [] : stack.split("\n").map((line) => `                ${line}`)
}

function memoryLines({ begin, end, allocation }: Race): string[] {
  const title = "  The memory:       "
  if (allocation === undefined) return [`${title}${end - begin} bytes at address ${begin}`]
  const { address, byteLength, stack } = allocation
  const bytes = `bytes ${begin - address} to ${end - address} of ${byteLength}`
  const lines = stackLines(stackText(stack))
  return lines.length === 0 ? [title + bytes] : [`${title}${bytes}, allocated`, ...lines]
}

/** The order that is missing. */
function missing({ queued, past }: Race): string {
  const { stream } = queued.lane
  const { lane, tick } = past.operation
  const [here, there] = [nameOf(stream), nameOf(lane.stream)]
  if (stream === lane.stream) {
    return `The two belong to different forks. The stream serves one after the other, but nothing in the program orders them.`
  }
  const isEarlier = queued.lane.clock.isAfter(lane.slot, 1) && !queued.lane.clock.isAfter(lane.slot, tick)
  return isEarlier
    ? `${capital(here)} waited for ${there}, but for a point before the earlier operation. So the two may run at the same time.`
    : `Nothing makes ${here} wait for ${there}. So the two may run at the same time, or in the other order.`
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
