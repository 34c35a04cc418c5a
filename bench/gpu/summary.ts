/** Formats the report as Markdown. */

import { decisionName, decisionSizes } from "./decisions.js"
import { bandwidth, quotient, time, times } from "./goal-line.js"
import { goalLines } from "./goals.js"
import { ours, peerNames } from "./peers.js"
import { policyName } from "./policies.js"
import { modes as pieceModes, nameOfPair } from "../pieces-names.js"
import { gpuPairs, gpuRow, shareRow, shares } from "./pieces-names.js"
import type { Report } from "./run.js"
import { modes, ways, type WorkloadName, workloadSizes } from "./workloads.js"

export function toMarkdown(report: Report): string {
  const { date, rounds, machine } = report
  const gpu = machine["gpu"] as Record<string, string | null> | undefined
  const name = `${gpu?.["name"] ?? "no GPU"}, driver ${gpu?.["driver_version"] ?? "unknown"}`
  const where = `${name}, Node.js ${String(machine["node"])}, ${date.slice(0, 10)}`
  const parts = [
    `Measured on ${where}: medians of ${rounds} rounds, in which all libraries took turns.`,
    goalsTable(report),
    ...(Object.keys(workloadSizes) as WorkloadName[]).flatMap((workload) => workloadTable(report, workload)),
    ...piecesTable(report),
    ...decisionsTable(report),
    ...policiesTable(report),
    partsTable(report),
    ...problems(report),
  ]
  return parts.join("\n\n")
}

function goalsTable(report: Report): string {
  const head = ["what", ...peerNames, "ratio", "goal", "reached"]
  const lines = goalLines(report).map(({ what, values, ratio, goal, reached }) => [
    what,
    ...peerNames.map((peer) => values[peer] ?? ""),
    ratio,
    goal,
    goal === "" ? "" : reached === undefined ? "not measured" : reached ? "yes" : "**no**",
  ])
  return table(head, lines)
}

/** One layer: each branch alone, both in sequence, both side by side. */
function workloadTable(report: Report, workload: WorkloadName): string[] {
  const head = [
    workload,
    "by",
    "main",
    "aux",
    "in sequence",
    "side by side",
    "speed-up",
    "÷ longer branch",
    "host time",
    "weights",
  ]
  const lines = workloadSizes[workload].flatMap((size) =>
    modes.flatMap((mode) => peerNames.flatMap((peer) => workloadLine(report, workload, size, mode, peer))),
  )
  return lines.length === 0 ? [] : [table(head, lines)]
}

function workloadLine(report: Report, workload: string, size: number, mode: string, peer: string): string[][] {
  const found = ways.map((way) =>
    report.measured.find((row) => row.peer === peer && row.row === `${workload}:${size}:${mode}:${way}`),
  )
  const [main, aux, sequential, parallel] = found.map((row) => row?.median)
  if (found.every((row) => row === undefined)) return []
  const longer = main === undefined || aux === undefined ? undefined : Math.max(main, aux)
  const { host, bandwidth: read } = found[3]?.beside ?? {}
  const show = (value: number | undefined) => (value === undefined ? "" : time(value))
  const figures = [main, aux, sequential, parallel].map(show)
  const speedUp = times(quotient(sequential, parallel))
  const by = peer === ours ? `**${peer}**` : peer
  return [
    [
      `${size}, ${mode}`,
      by,
      ...figures,
      speedUp,
      times(quotient(parallel, longer)),
      show(host),
      read === undefined ? "" : bandwidth(read),
    ],
  ]
}

/** Pieces of a given length: from which length on overlap pays, and how much of the GPU they may fill. */
function piecesTable({ measured }: Report): string[] {
  const find = (row: string) => measured.find((found) => found.row === row && found.peer === ours)?.median
  const line = (name: string, sequence: string, together: string) => {
    const [a, b] = [find(sequence), find(together)]
    return a === undefined || b === undefined ? [] : [[name, time(a), time(b), times(quotient(a, b))]]
  }
  const lines = [
    ...gpuPairs.flatMap((pair) =>
      pieceModes.flatMap((mode) =>
        line(`${nameOfPair(pair)}, ${mode}`, gpuRow(pair, mode, "sequential"), gpuRow(pair, mode, "parallel")),
      ),
    ),
    ...shares.flatMap((share) =>
      line(`200 µs, blocks for ${share} % of the GPU each`, shareRow(share, "sequential"), shareRow(share, "parallel")),
    ),
  ]
  return lines.length === 0 ? [] : [table(["pieces", "in sequence", "side by side", "speed-up"], lines)]
}

/** Fresh decisions about captured workloads, beside both ways. */
function decisionsTable({ parts }: Report): string[] {
  const facts = parts.find(({ name }) => name === "decisions")?.facts ?? {}
  const lines = Object.entries(decisionSizes).flatMap(([workload, sizes]) =>
    sizes.flatMap((size) => decisionLine(decisionName(workload, size), facts[decisionName(workload, size)])),
  )
  const head = [
    "captured",
    "in sequence",
    "side by side",
    "speed-up",
    "faster",
    "decided side by side",
    "right",
    "launches",
  ]
  const hosts = ["host time: no policy", "measured", "decided"]
  return lines.length === 0 ? [] : [table([...head, ...hosts], lines)]
}

function decisionLine(name: string, facts: unknown): string[][] {
  if (typeof facts !== "object" || facts === null || "reason" in facts) return []
  const found: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(facts))
  const figure = (what: string) => Number(found[what])
  const microseconds = (what: string) => time(1000 * figure(what))
  const faster = ["in sequence", "about equal", "side by side"][figure("faster") + 1] ?? ""
  const [decided, right] = ["decidedParallel", "right"].map((what) => `${figure(what)} of ${figure("decisions")}`)
  return [
    [
      ...[name, microseconds("sequential"), microseconds("parallel"), times(figure("speedUp")), faster],
      ...[decided ?? "", right ?? "", figure("launches").toFixed(0)],
      ...["hostWithout", "hostMeasured", "hostDecided"].map(microseconds),
    ],
  ]
}

/** Fresh decisions about eager workloads, and later calls as decided beside both ways. */
function policiesTable({ parts }: Report): string[] {
  const facts = parts.find(({ name }) => name === "policies")?.facts ?? {}
  const lines = Object.entries(decisionSizes).flatMap(([workload, sizes]) =>
    sizes.flatMap((size) => policyLine(policyName(workload, size), facts[policyName(workload, size)])),
  )
  const head = ["eager", "in sequence", "side by side", "as decided", "speed-up", "faster", "decided side by side"]
  return lines.length === 0
    ? []
    : [table([...head, "right", "calls before", "lost to the better way", "the decided way without a policy"], lines)]
}

function policyLine(name: string, facts: unknown): string[][] {
  if (typeof facts !== "object" || facts === null || "reason" in facts) return []
  const found: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(facts))
  const figure = (what: string) => Number(found[what])
  const [sequential, parallel, chosen] = ["sequential", "parallel", "chosen"].map((what) => time(1000 * figure(what)))
  const faster = ["in sequence", "about equal", "side by side"][figure("faster") + 1] ?? ""
  const [decided, right] = ["decidedParallel", "right"].map((what) => `${figure(what)} of ${figure("decisions")}`)
  return [
    [
      ...[name, sequential ?? "", parallel ?? "", chosen ?? "", times(figure("speedUp")), faster, decided ?? ""],
      ...[right ?? "", figure("callsBefore").toFixed(0)],
      `${(100 * figure("lossRelative")).toFixed(1)} %, ${time(1000 * figure("lossMicroseconds"))}`,
      `${(100 * figure("controlRelative")).toFixed(1)} %`,
    ],
  ]
}

function partsTable({ parts }: Report): string {
  const lines = parts.map(({ name, status, seconds, reason = "" }) => [
    name,
    status,
    `${seconds.toFixed(1)} s`,
    reason.split("\n")[0] ?? "",
  ])
  return table(["part", "status", "took", "reason"], lines)
}

/** The missing peers and rows, a line for each reason. */
function problems({ absent, missing }: Report): string[] {
  const reasons = new Map<string, string[]>()
  for (const { peer, row, reason } of missing) {
    const key = `${peer}: ${gist(reason)}`
    reasons.set(key, [...(reasons.get(key) ?? []), row])
  }
  const lines = [
    ...absent.map(({ peer, reason }) => `- ${peer} is not there: ${gist(reason)}`),
    ...[...reasons].map(([reason, rows]) => `- ${reason} (${few(rows)})`),
  ]
  return lines.length === 0 ? [] : [`Missing:\n\n${lines.join("\n")}`]
}

/** A list, shortened so that the text around it stays readable. */
function few(names: readonly string[]): string {
  return names.length <= 6 ? names.join(", ") : `${names.slice(0, 6).join(", ")} and ${names.length - 6} more`
}

/** The line with the error: Python prints it after the stack, JavaScript before it. */
function gist(text: string): string {
  const lines = text.trimEnd().split("\n")
  return lines.findLast((line) => /^\w*(Error|Exception)\b/.test(line)) ?? lines[0] ?? ""
}

export function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  return [row(head), row(head.map(() => "---")), ...lines.map(row)].join("\n")
}
