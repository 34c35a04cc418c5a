/**
 * For a message: the advice to raise one of the limits that a shell sets, followed by "or". Windows sets none, so there it
 * is empty.
 */
export function raiseLimit(what: string, option: `-${string}`, platform = process.platform): string {
  return platform === "win32" ? "" : `raise the limit on ${what} (ulimit ${option}), or `
}
