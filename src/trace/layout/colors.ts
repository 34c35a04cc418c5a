/**
 * Colours, for light and dark backgrounds. Operations of one name have one colour in every trace; what moves memory is grey, and
 * what holds others is pale. Text on each colour has a contrast of at least 5.4 to 1.
 */

import type { SpanKind } from "../data/data.js"

export interface Palette {
  readonly background: string
  /** Behind every other group of lanes, tool tips and panels. */
  readonly raised: string
  readonly line: string
  readonly text: string
  readonly muted: string
  /** Text on {@link Palette.names}, {@link Palette.memory} and {@link Palette.holder}. */
  readonly onColor: string
  readonly names: readonly string[]
  readonly memory: string
  readonly holder: string
  readonly call: string
  readonly wait: string
  readonly parallel: string
  readonly sequential: string
  readonly selected: string
}

export const LIGHT: Palette = {
  background: "#ffffff",
  raised: "#f5f6f8",
  line: "#dfe3e8",
  text: "#1b1f27",
  muted: "#5d6675",
  onColor: "#1b1f27",
  names: [
    ...["#9dccfd", "#96d9b4", "#eebc8d", "#d8b8f1", "#81d8dd", "#cacd8c", "#fab2ac", "#bcc2fe", "#f0b1d4"],
    ...["#76b0eb", "#6bbf94", "#d99d61", "#bf98dd", "#47bfc5", "#afb15f", "#e69089", "#9ea3ec", "#da90ba"],
  ],
  memory: "#cbd1da",
  holder: "#e4e8ee",
  call: "#d8dce3",
  wait: "#4b5768",
  parallel: "#19754c",
  sequential: "#a8530b",
  selected: "#0b57d0",
}

export const DARK: Palette = {
  background: "#12151b",
  raised: "#1a1e26",
  line: "#2e3440",
  text: "#e7eaf0",
  muted: "#9aa4b5",
  onColor: "#ffffff",
  names: [
    ...["#38699a", "#297753", "#8b5923", "#77568f", "#00767b", "#6a6a20", "#954f4a", "#5c5f9b", "#8c4e72"],
    ...["#224d76", "#11583a", "#693f0c", "#583c6d", "#00575c", "#4d4e08", "#723632", "#424477", "#6a3655"],
  ],
  memory: "#4c5566",
  holder: "#2b3240",
  call: "#39414f",
  wait: "#aab6c9",
  parallel: "#5fcb98",
  sequential: "#f0a45d",
  selected: "#7fb2ff",
}

/** The colour of an operation. */
export function colorOf(palette: Palette, kind: SpanKind, name: string): string {
  switch (kind) {
    case "copy":
    case "upload":
    case "fill":
    case "read":
      return palette.memory
    case "graph":
    case "conditional":
    case "external":
      return palette.holder
    case "kernel":
    case "matmul":
    case "node":
    case "foreign":
      return palette.names[hashOf(name) % palette.names.length] ?? palette.memory
  }
}

/** A number of a name, the same everywhere: FNV-1a. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return hash >>> 0
}
