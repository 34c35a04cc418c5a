import { checkBoolean, mustBe } from "../../common/check.js"
import { type AccessViolationError, AuxstreamError } from "../../common/errors.js"
import { warnOnce } from "../../common/warn.js"
import { observe } from "../../runtime/order/observer/observers.js"
import { AccessChecks } from "./access-checks.js"

/** The options of `startSanitizer` about what operations do to memory. They apply to the host device. */
export interface AccessOptions {
  /**
   * Whether to check launches for changes to bytes that the kernel only reads by its declaration (`in` parameters,
   * `uses.reads`), and for writes directly beside the memory of its arrays. Default: false.
   */
  readonly accessModes?: boolean | undefined
  /**
   * Whether to check launches for elements of `out` arguments that the kernel does not write. Such elements keep their
   * contents. Kernels with `partialOutputs` are not checked, nor are 8-bit and 16-bit integers and `float8_e4m3fn`.
   * Default: false.
   */
  readonly unwritten?: boolean | undefined
  /**
   * Whether to check pinned memory for changes that JavaScript makes after it has queued an operation that only reads
   * the memory, and before that operation is done. Default: false.
   */
  readonly pinned?: boolean | undefined
  /**
   * What to do at a violation, which is found when the stream runs the operation. `"throw"` (the default): the stream
   * breaks, so synchronisations and later calls throw the {@link AccessViolationError}. `"warn"`: a process warning, once for
   * each kernel, argument and kind. A function: called with each violation, in the event loop.
   */
  readonly onViolation?: "throw" | "warn" | ((violation: AccessViolationError) => void) | undefined
}

/** The names of the options. */
export const accessOptionNames: readonly (keyof AccessOptions)[] = ["accessModes", "unwritten", "pinned", "onViolation"]

let isRunning = false

/**
 * Starts the checks that the options ask for.
 *
 * @param stack where the program calls the library now
 * @returns a function that ends them
 */
export function startAccessChecks(options: AccessOptions, stack: () => string): () => void {
  const { accessModes = false, unwritten = false, pinned = false, onViolation = "throw" } = options
  checkBoolean(accessModes, "accessModes")
  checkBoolean(unwritten, "unwritten")
  checkBoolean(pinned, "pinned")
  const report = reportOf(onViolation)
  if (!accessModes && !unwritten && !pinned) return () => {}
  if (isRunning) throw alreadyRunning()
  isRunning = true
  const checks = new AccessChecks({ accesses: accessModes, unwritten, pinned, report }, stack)
  const end = observe(checks)
  let isOver = false
  return () => {
    if (isOver) return
    isOver = true
    isRunning = false
    end()
    checks.stop()
  }
}

function reportOf(onViolation: unknown): ((violation: AccessViolationError) => void) | undefined {
  if (onViolation === "throw") return undefined
  if (onViolation === "warn") return warnOfViolation
  if (isHandler(onViolation)) return onViolation
  throw mustBe("onViolation", '"throw", "warn" or a function', onViolation)
}

function isHandler(value: unknown): value is (violation: AccessViolationError) => void {
  return typeof value === "function"
}

function warnOfViolation(violation: AccessViolationError): void {
  const { kernel, kind, argument = "", code, message } = violation
  warnOnce(`${kind} ${kernel} ${argument}`, message, code)
}

function alreadyRunning(): AuxstreamError {
  return new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    "`accessModes`, `unwritten` and `pinned` can be used by only one sanitizer at a time, and another one uses them. Stop it " +
      "first.",
  )
}
