/** Checks and parses the globals of a module's definition. */
import { mustBe } from "../../common/check.js"
import { dtypes, elementsOf, isDType } from "../../common/dtype/elements.js"
import { show } from "../../common/show.js"
import type { GlobalDeclaration } from "../../driver/modules.js"

const GLOBAL_NAME = /^[A-Za-z_$][\w$]*(?:::[A-Za-z_$][\w$]*)*$/

/** @param owner the module, for messages */
export function parseGlobals(globals: unknown, owner: string): GlobalDeclaration[] {
  if (globals === undefined) return []
  if (typeof globals !== "object" || globals === null)
    throw mustBe(`\`globals\` of ${owner}`, '{ name: ["float32", 4] }', globals)
  return Object.entries(globals).map(([name, value]: [string, unknown]) => parseGlobal(name, value, owner))
}

function partsOf(value: unknown): unknown[] {
  return Array.isArray(value) ? Array.from(value, (part: unknown) => part) : []
}

function parseGlobal(name: string, value: unknown, owner: string): GlobalDeclaration {
  const what = `global ${show(name)} of ${owner}`
  if (!GLOBAL_NAME.test(name)) throw mustBe(`The name of a global of ${owner}`, 'a name in C++ such as "table"', name)
  const [dtype, length, access, ...others] = partsOf(value)
  if (!isDType(dtype) || (access !== undefined && access !== "constant") || others.length > 0) {
    throw mustBe(what, `[dtype, length], or [dtype, length, "constant"], with a dtype of ${dtypes.join(", ")}`, value)
  }
  const most = Math.floor(Number.MAX_SAFE_INTEGER / elementsOf(dtype).byteLength)
  if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 1 || length > most) {
    throw mustBe(
      `The length of ${what}`,
      "a positive integer: its number of elements",
      length,
      undefined,
      "AUX_OUT_OF_RANGE",
    )
  }
  return { name, dtype, length, isConstant: access === "constant" }
}
