/** The options of a worker thread that stand for the process's flags. */
export interface WorkerFlags {
  readonly execArgv?: string[]
  readonly env?: NodeJS.ProcessEnv
}

/** They run files of the program's in each thread that inherits them: one that opens a device would never come to an end. */
const PRELOADS: ReadonlySet<string> = new Set(["--import", "--require", "-r"])

/** A worker with this one refuses its file. */
const INPUT_TYPE = "--input-type"

/**
 * A worker inherits all of the process's flags if none are named for it. Where some must not be inherited, the others
 * are named in `NODE_OPTIONS`: a worker refuses flags of the whole process, such as `--max-old-space-size`, anywhere else.
 */
export function workerFlags(): WorkerFlags {
  const flags = [...groups(words(process.env["NODE_OPTIONS"] ?? "")), ...groups(process.execArgv)]
  if (flags.every(isInherited)) return {}
  const named = flags.filter((flag) => isInherited(flag) && process.allowedNodeEnvironmentFlags.has(nameOf(flag)))
  return { execArgv: [], env: { ...process.env, NODE_OPTIONS: named.flat().map(quote).join(" ") } }
}

function isInherited(flag: readonly string[]): boolean {
  const name = nameOf(flag)
  return !PRELOADS.has(name) && name !== INPUT_TYPE
}

/** Each flag with its value, which may be a word of its own. */
function groups(all: readonly string[]): string[][] {
  const flags: string[][] = []
  for (const word of all) {
    const last = flags.at(-1)
    if (word.startsWith("-") || last === undefined) flags.push([word])
    else last.push(word)
  }
  return flags
}

function nameOf([word = ""]: readonly string[]): string {
  return word.split("=", 1)[0] ?? ""
}

/** As Node.js reads the variable: words between blanks; in double quotes, a backslash before a character stands for it. */
function words(variable: string): string[] {
  const found = variable.match(/(?:"(?:\\.|[^"\\])*"|[^\s"])+/g) ?? []
  return found.map((word) =>
    word.replace(/"((?:\\.|[^"\\])*)"/g, (_, quoted: string) => quoted.replace(/\\(.)/g, "$1")),
  )
}

function quote(word: string): string {
  return `"${word.replace(/["\\]/g, "\\$&")}"`
}
