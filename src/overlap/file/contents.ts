/**
 * What a file of decisions contains: for each policy and environment, the decisions. Pure: texts and objects, no files. What
 * it accepts, it also writes, so that several processes and versions can share a file.
 */
import { show } from "../../common/show.js"
import { environmentKey } from "./environment.js"
import { type Environment, MOST_KEYS, type StoredDecision } from "./stored.js"

/** The first line of each file, so that no other file is ever overwritten. */
const MARK = "overlap decisions"
const VERSION = 1

/** Decisions of one policy in one environment, by {@link decisionKey}. */
export interface Section {
  readonly environment: Environment
  readonly decisions: Map<string, StoredDecision>
}

/** Sections by {@link environmentKey}, by the name of the policy. */
export type Contents = Map<string, Map<string, Section>>

/** Tells keys apart: 1 is not "1". */
export function decisionKey({ call, key }: Pick<StoredDecision, "call" | "key">): string {
  return `${call} ${JSON.stringify(key)}`
}

/** Adds decisions to contents. Of two for the same key, the newer one stays. */
export function addSection(contents: Contents, policy: string, { environment, decisions }: Section): void {
  const sections = contents.get(policy) ?? new Map<string, Section>()
  contents.set(policy, sections)
  const name = environmentKey(environment)
  const known = sections.get(name) ?? { environment, decisions: new Map<string, StoredDecision>() }
  sections.set(name, known)
  for (const [key, decision] of decisions) {
    const former = known.decisions.get(key)
    if (former === undefined || former.decided <= decision.decided) known.decisions.set(key, decision)
  }
}

/** The text of a file: JSON, with one decision a line. */
export function textOf(contents: Contents): string {
  const policies = [...contents].map(([name, sections]) => {
    const parts = Array.from(sections.values(), sectionText)
    return `    ${JSON.stringify(name)}: [\n${parts.join(",\n")}\n    ]`
  })
  const head = `{\n  "auxstream": ${JSON.stringify(MARK)},\n  "version": ${VERSION},\n  "policies": {`
  return `${head}${policies.length === 0 ? "" : `\n${policies.join(",\n")}\n  `}}\n}\n`
}

function sectionText({ environment, decisions }: Section): string {
  const kept = [...decisions.values()].toSorted((a, b) => (a.decided < b.decided ? 1 : -1)).slice(0, 2 * MOST_KEYS)
  const lines = kept.toSorted(inOrder).map((decision) => `          ${lineOf(decision)}`)
  return [
    `      {\n        "environment": ${lineOf(environment)},`,
    `        "decisions": [\n${lines.join(",\n")}\n        ]\n      }`,
  ].join("\n")
}

/** Eager calls first, then by key: numbers by size, then strings. */
function inOrder(a: StoredDecision, b: StoredDecision): number {
  if (a.call !== b.call) return a.call === "eager" ? -1 : 1
  if (typeof a.key === "number" && typeof b.key === "number") return a.key - b.key
  if (typeof a.key !== typeof b.key) return typeof a.key === "number" ? -1 : 1
  return a.key < b.key ? -1 : 1
}

function lineOf(value: object): string {
  const entries = Object.entries(value).map(([name, entry]) => `${JSON.stringify(name)}: ${JSON.stringify(entry)}`)
  return `{ ${entries.join(", ")} }`
}

/** Reads a file's text. @throws Error that names the mistake in it */
export function parseContents(text: string): Contents {
  const root = objectIn(parseJson(text), "it")
  if (root["auxstream"] !== MARK)
    throw new Error(`it is not a file of overlap decisions: "auxstream" must be "${MARK}"`)
  if (root["version"] !== VERSION) {
    throw new Error(`its version is ${JSON.stringify(root["version"])}, and this auxstream knows version ${VERSION}`)
  }
  const contents: Contents = new Map()
  for (const [policy, sections] of Object.entries(objectIn(root["policies"], "policies"))) {
    for (const [index, section] of listIn(sections, `policies[${JSON.stringify(policy)}]`).entries()) {
      addSection(contents, policy, parseSection(section, `policies[${JSON.stringify(policy)}][${index}]`))
    }
  }
  return contents
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`it is not JSON: ${error instanceof Error ? error.message : ""}`, { cause: error })
  }
}

function parseSection(value: unknown, place: string): Section {
  const section = objectIn(value, place)
  const environment = objectIn(section["environment"], `${place}.environment`)
  const inEnvironment = `${place}.environment.`
  const driver = environment["driver"]
  const decisions = new Map<string, StoredDecision>()
  for (const [index, entry] of listIn(section["decisions"], `${place}.decisions`).entries()) {
    const decision = parseDecision(objectIn(entry, `${place}.decisions[${index}]`), `${place}.decisions[${index}].`)
    decisions.set(decisionKey(decision), decision)
  }
  return {
    environment: {
      device: textIn(environment["device"], `${inEnvironment}device`),
      multiprocessors: numberIn(environment["multiprocessors"], `${inEnvironment}multiprocessors`),
      driver: driver === null ? null : textIn(driver, `${inEnvironment}driver`),
      auxstream: textIn(environment["auxstream"], `${inEnvironment}auxstream`),
      runtime: textIn(environment["runtime"], `${inEnvironment}runtime`),
    },
    decisions,
  }
}

function parseDecision(entry: Record<string, unknown>, place: string): StoredDecision {
  const { key, early, decided } = entry
  if (typeof decided !== "string" || Number.isNaN(Date.parse(decided)))
    throw wrong(`${place}decided`, "a date", decided)
  if (typeof early !== "boolean") throw wrong(`${place}early`, "true or false", early)
  return {
    call: oneOf(entry["call"], ["eager", "captured"] as const, `${place}call`),
    key: typeof key === "string" ? key : numberIn(key, `${place}key`, -Infinity),
    mode: oneOf(entry["mode"], ["parallel", "sequential"] as const, `${place}mode`),
    parallelMicroseconds: numberIn(entry["parallelMicroseconds"], `${place}parallelMicroseconds`, Number.MIN_VALUE),
    sequentialMicroseconds: numberIn(
      entry["sequentialMicroseconds"],
      `${place}sequentialMicroseconds`,
      Number.MIN_VALUE,
    ),
    pairs: numberIn(entry["pairs"], `${place}pairs`),
    early,
    decided: new Date(decided).toISOString(),
  }
}

function objectIn(value: unknown, place: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(place, "an object", value)
  return value as Record<string, unknown>
}

function listIn(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(place, "a list", value)
  return value
}

function textIn(value: unknown, place: string): string {
  if (typeof value !== "string") throw wrong(place, "a string", value)
  return value
}

function numberIn(value: unknown, place: string, least = 0): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < least) {
    throw wrong(place, least === 0 ? "a number of at least 0" : least > 0 ? "a number above 0" : "a number", value)
  }
  return value
}

function oneOf<const T extends string>(value: unknown, allowed: readonly T[], place: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw wrong(place, allowed.map((one) => JSON.stringify(one)).join(" or "), value)
  return found
}

function wrong(place: string, allowed: string, value: unknown): Error {
  return new Error(`${place} must be ${allowed}; got ${show(value)}`)
}
