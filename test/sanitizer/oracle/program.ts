/**
 * Random programs as data. All numbers are taken modulo what exists when the statement runs, and a statement that is not
 * possible there does nothing. So every program runs, also with statements removed.
 */
/** A part of one of the arrays of its kind. Length 0 is an empty view. */
export interface Region {
  readonly array: number
  readonly begin: number
  readonly length: number
}

export interface Rows {
  readonly width: number
  readonly pitch: number
  readonly sourcePitch: number
}

/** An operation that uses memory. */
export type Action =
  | {
      readonly kind: "touch"
      readonly input: Region
      readonly output: Region
      readonly both: Region
      readonly reads: readonly Region[]
      readonly writes: readonly Region[]
    }
  | { readonly kind: "struct" | "clip" | "fill" | "upload"; readonly target: Region; readonly declares: boolean }
  | { readonly kind: "convolve" | "copy"; readonly source: Region; readonly target: Region; readonly declares: boolean }
  | { readonly kind: "globals"; readonly way: number }
  | {
      readonly kind: "rows"
      readonly from: number
      readonly source: Region
      readonly target: Region
      readonly rows: Rows
    }
  | { readonly kind: "external"; readonly reads: readonly Region[]; readonly writes: readonly Region[] }

export interface Body {
  readonly isAsync: boolean
  readonly statements: readonly Statement[]
}

/** A named stream; undefined means the current one, or one of the pool. */
export type Named = number | undefined

export const syncs = [
  ...(["stream", "event", "device", "poll", "pollEvent", "query", "queryEvent", "read", "readLater"] as const),
  ...(["completed", "completedLater", "completedEvent", "completedEventLater", "completedDevice"] as const),
]
export type Sync = (typeof syncs)[number]

export const makers = ["empty", "zeros", "full", "from"] as const
export const vias = ["parallel", "maybeExecuteInParallel", "executeInParallel"] as const

export type Statement =
  | { readonly kind: "action"; readonly action: Action; readonly stream: Named }
  | { readonly kind: "record" | "wait"; readonly event: number; readonly stream: Named }
  | { readonly kind: "order"; readonly before: number; readonly after: Named; readonly byEvent: boolean }
  | { readonly kind: "sync"; readonly way: Sync; readonly which: number; readonly region: Region }
  | { readonly kind: "on"; readonly stream: number; readonly body: Body }
  | { readonly kind: "fresh"; readonly waits: boolean; readonly joins: boolean; readonly body: Body }
  /** An array, and perhaps a second one that wraps its memory. */
  | {
      readonly kind: "make"
      readonly how: (typeof makers)[number]
      readonly length: number
      readonly wrap: Region | undefined
    }
  | { readonly kind: "drop"; readonly array: number }
  | { readonly kind: "fork"; readonly stream: Named; readonly body: Body }
  | { readonly kind: "join"; readonly fork: number; readonly disposes: boolean; readonly stream: Named }
  /** A fork that one stream joins, and, once it is done, forks of another stream, of which one gets the same pool stream. */
  | {
      readonly kind: "leases"
      readonly joining: number
      readonly forking: number
      readonly first: Action
      readonly second: Action
    }
  | {
      readonly kind: "parallel"
      readonly via: (typeof vias)[number]
      readonly streams: readonly Named[]
      readonly bodies: readonly Body[]
    }
  | { readonly kind: "off" | "otherDevice"; readonly body: Body }
  /** Lets other functions go on, or lets the device finish without any call of the library that would notice. */
  | { readonly kind: "pause" | "rest" }
  | { readonly kind: "capture"; readonly into: Named; readonly body: Body }
  | { readonly kind: "launch"; readonly graph: number; readonly stream: Named }
  | { readonly kind: "change"; readonly graph: number; readonly node: number; readonly action: Action }
  | { readonly kind: "enable"; readonly graph: number; readonly node: number; readonly enabled: boolean }
  | { readonly kind: "if"; readonly then: Body; readonly otherwise: Body | undefined }
  | { readonly kind: "while"; readonly body: Body }
  /** The sanitizer starts. */
  | { readonly kind: "start" }

export interface Program {
  readonly seed: number
  readonly statements: readonly Statement[]
}

/** The members of a union that have one of these kinds. */
export type OfKind<Union, Kind> = Union extends { readonly kind: infer K }
  ? [Extract<K, Kind>] extends [never]
    ? never
    : Union
  : never
