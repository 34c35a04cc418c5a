/** The names of the options. A misspelled one must not be ignored. */
import { checkNames } from "../common/check.js"
import type { MatmulOptions, MatmulShape, PreparedMatmul } from "./options.js"

const shape = [
  ...(["m", "n", "k", "transposeA", "transposeB", "ldA", "ldB", "ldOut", "batch"] satisfies (keyof MatmulShape)[]),
]

const product: ReadonlySet<string> = new Set([
  ...(["a", "b", "out"] satisfies (keyof MatmulOptions)[]),
  ...shape,
  ...(["alpha", "beta", "bias", "activation", "scaleA", "scaleB", "stream"] satisfies (keyof MatmulOptions)[]),
])

/** What {@link PreparedMatmul} has. */
export const preparedNames: ReadonlySet<string> = new Set([
  ...(["dtype", "outDtype"] satisfies (keyof PreparedMatmul)[]),
  ...shape,
  ...(["beta", "bias", "activation", "alignment"] satisfies (keyof PreparedMatmul)[]),
])

/** Spelled out, because every product asks it: a set takes several times as long. */
function isProductName(name: string): boolean {
  switch (name) {
    case "a":
    case "b":
    case "out":
    case "m":
    case "n":
    case "k":
    case "transposeA":
    case "transposeB":
    case "alpha":
    case "beta":
    case "batch":
    case "stream":
    case "bias":
    case "activation":
    case "ldA":
    case "ldB":
    case "ldOut":
    case "scaleA":
    case "scaleB":
      return true
    default:
      return false
  }
}

/** Throws if there is another name than those of {@link MatmulOptions}. */
export function checkProductNames(options: object, what: string): void {
  for (const name in options) if (!isProductName(name)) checkNames(options, what, product)
}
