/** The options `overlap` and `key` of fork-joins and captures. */
import { checkNames, mustBe } from "../../../common/check.js"
import { type OverlapKey, OverlapPolicy } from "./overlap-policy.js"

/** Lets a policy decide whether a call overlaps. Without `overlap`, a call overlaps if it may. */
export type OverlapOptions =
  | {
      /** The policy, made by `measuredOverlap`. */
      readonly overlap: OverlapPolicy
      /**
       * Stands for the shape of the call, such as its number of tokens. Calls with the same key must take about the
       * same time. Use a separate policy for each place in the program, or keys that tell the places apart.
       */
      readonly key: OverlapKey
    }
  | {
      /** Without a policy, a call overlaps if it may. */
      readonly overlap?: undefined
      /** Not used without a policy. */
      readonly key?: OverlapKey | undefined
    }

const names: ReadonlySet<string> = new Set(["overlap", "key"])

/** A policy, and the key of the call. */
export interface Asked {
  readonly policy: OverlapPolicy
  readonly key: OverlapKey
}

/** Checks the options of a call that has no others. */
export function checkOverlap(options: unknown): Asked | undefined {
  if (typeof options !== "object" || options === null) throw mustBe("options", "an object or undefined", options)
  checkNames(options, "options", names)
  return askedBy(options)
}

/** Checks `overlap` and `key`. @returns undefined if there is no policy */
export function askedBy(options: { readonly overlap?: unknown; readonly key?: unknown }): Asked | undefined {
  const { overlap: policy, key } = options
  if (policy === undefined) return undefined
  if (!(policy instanceof OverlapPolicy)) {
    const advice = "Make it with measuredOverlap(), in the thread that uses it"
    throw mustBe("overlap", "a policy or undefined", policy, advice)
  }
  if (isKey(key)) return { policy, key }
  throw mustBe(
    "key",
    "a string or a finite number if there is a policy",
    key,
    "Name the shape of the call, such as its number of tokens",
  )
}

function isKey(key: unknown): key is OverlapKey {
  return typeof key === "string" || Number.isFinite(key)
}
