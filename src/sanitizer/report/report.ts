/** Makes the error of a race, with a text for readers that have never met a vector clock. */
import { overlapOf } from "../../common/strided.js"
import type { Access, AccessRole, PlannedOperation } from "../../runtime/order/observer/operation.js"
import type { RegionPart } from "../../runtime/order/observer/region.js"
import type { AllocationSite } from "../source/allocations.js"
import { DataRaceError, type RaceAccess, type RaceFix } from "./data-race-error.js"
import { fixInGraph, fixOf } from "./fix.js"
import type { OperationName, QueuedOperation } from "../history/past-access.js"
import type { AnyRace, Race, RaceInGraph } from "./race.js"
import { type Frame, stackText } from "../source/stack.js"
import { capital, definite, deviceOf, nameOf, operationText, plainName } from "./words.js"

/** One of the two accesses, with the words for it. */
interface Side {
  /** Such as `kernel "scale"`. */
  readonly operation: string
  readonly stream: string
  readonly role: AccessRole
  readonly region: RegionPart | undefined
  readonly stack: readonly Frame[] | undefined
  readonly access: RaceAccess
}

/** What a report says. */
interface Report {
  readonly headline: string
  readonly current: Side
  readonly previous: Side
  readonly begin: number
  readonly end: number
  readonly allocation: AllocationSite | undefined
  readonly missing: string
  readonly fix: RaceFix
}

export function errorOf(race: AnyRace): DataRaceError {
  const report = "plan" in race ? reportInGraph(race) : reportOf(race)
  const { headline, current, previous, begin, end, allocation, missing, fix } = report
  const lines = [
    `Data race: ${headline}`,
    "",
    ...sideLines("This operation", current),
    ...sideLines("The earlier one", previous),
    ...memoryLines(report),
    `  Missing order:    ${missing}`,
    `  How to fix it:    ${fix.text}`,
  ]
  return new DataRaceError(lines.join("\n"), {
    current: current.access,
    previous: previous.access,
    range: { address: begin, byteLength: end - begin },
    allocation: stackText(allocation?.stack),
    missing,
    fix,
  })
}

function reportOf(race: Race): Report {
  const { queued, access, node, past, begin, end, history, allocation } = race
  const current = sideOf(queued, access.role, node)
  const previous = sideOf(past.operation, past.role, past.node)
  const now = `${current.operation} on ${current.stream}`
  const before = `${previous.operation} on ${previous.stream}`
  return {
    headline: `${now} ${verb(access.role)} memory that ${before} may still be ${participle(past.role)}.`,
    current,
    previous,
    begin,
    end,
    allocation,
    missing: missingOrder(race),
    fix: fixOf(queued, history, past),
  }
}

function sideOf(queued: QueuedOperation, role: AccessRole, node: OperationName | undefined): Side {
  const { lane, region, stack } = queued
  const operation = node === undefined ? operationText(queued) : `${operationText(node)} in a graph`
  return { operation, stream: nameOf(lane.stream), role, region, stack, access: accessOf(queued, role, node) }
}

function accessOf(
  { lane: { stream }, kind, label, region, stack }: QueuedOperation,
  { mode, argument, name }: AccessRole,
  node: OperationName | undefined,
): RaceAccess {
  return {
    operation: node?.label ?? label,
    kind,
    argument,
    name,
    access: mode === "overwrite" ? "write" : mode,
    device: deviceOf(stream),
    stream: { name: plainName(stream), id: stream.id },
    region: region && { name: region.region.name, function: region.index },
    stack: stackText(stack),
  }
}

function reportInGraph({ plan, queued, earlier, later, places, past, access, allocation }: RaceInGraph): Report {
  const current = nodeSide(queued, plan.streams[later.stream], later, places[1], access)
  const previous = nodeSide(queued, plan.streams[earlier.stream], earlier, places[0], past)
  const { begin, end } = overlapOf(access, past)
  return {
    headline:
      `In the graph that is about to be launched, ${current.operation} ${verb(current.role)} memory that ` +
      `${previous.operation} may still be ${participle(previous.role)}.`,
    current,
    previous,
    begin,
    end,
    allocation,
    missing: `In the captured function, nothing makes ${current.stream} wait for ${previous.stream}.`,
    fix: fixInGraph(current, previous),
  }
}

function nodeSide(
  queued: QueuedOperation,
  branch: string | undefined,
  node: PlannedOperation,
  place: number,
  access: Access,
): Side {
  const name = branch?.replace(/ of [a-z]+(:\d+)?$/, "") ?? ""
  return {
    operation: `${operationText(node)} (node ${place})`,
    stream: `the branch of "${name}"`,
    role: access.role,
    region: undefined,
    stack: queued.stack,
    access: { ...accessOf(queued, access.role, node), stream: { name, id: 0 }, region: undefined },
  }
}

function verb({ mode }: AccessRole): string {
  return mode === "read" ? "reads" : mode === "readwrite" ? "reads and writes" : "writes"
}

function participle({ mode }: AccessRole): string {
  return mode === "read" ? "reading" : mode === "readwrite" ? "reading and writing" : "writing"
}

function sideLines(title: string, { operation, stream, role, region, stack }: Side): string[] {
  const what = [
    operation,
    role.argument === undefined ? undefined : `argument ${role.argument}`,
    role.name === undefined ? undefined : `global "${role.name}"`,
    verb(role),
    `on ${stream}`,
  ]
  return [
    line(title, what.filter((each) => each !== undefined).join(", ")),
    ...(region === undefined ? [] : [`${indent}in ${functionText(region)}`]),
    ...stackLines(stack),
  ]
}

const indent = " ".repeat(20)

function line(title: string, text: string): string {
  return `  ${`${title}:`.padEnd(18)}${text}`
}

function functionText({ region: { name }, index }: RegionPart): string {
  if (index === undefined) return `${name}()`
  return index === 0 ? `the main function of ${name}()` : `function ${index} of ${name}()`
}

function stackLines(stack: readonly Frame[] | undefined): string[] {
  const text = stackText(stack)
  return text === "" ? [] : text.split("\n").map((each) => `${indent}${each.trimStart()}`)
}

function memoryLines({ begin, end, allocation }: Report): string[] {
  if (allocation === undefined) return [line("The memory", `${end - begin} bytes at address ${begin}`)]
  const { address, byteLength, stack } = allocation
  const bytes = `bytes ${begin - address} to ${end - address} of ${byteLength}`
  const lines = stackLines(stack)
  return lines.length === 0 ? [line("The memory", bytes)] : [line("The memory", `${bytes}, allocated`), ...lines]
}

/** The order that is missing. */
function missingOrder({ queued, past }: Race): string {
  const { stream, clock } = queued.lane
  const { lane, tick } = past.operation
  const [here, there] = [nameOf(stream), nameOf(lane.stream)]
  const before = definite(past.operation)
  if (stream === lane.stream) {
    return "The two belong to different forks. The stream serves one after the other, but nothing in the program orders them."
  }
  return clock.isAfter(lane.slot, lane.first) && !clock.isAfter(lane.slot, tick)
    ? `${capital(here)} waited for ${there}, but only up to a point before ${before}. So the two may run at the same time.`
    : `${capital(here)} waits for nothing that comes after ${before} on ${there}. So the two may run at the same time, or in the other order.`
}
