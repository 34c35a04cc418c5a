/** The worker options that replace the flags of the process. */
export interface WorkerFlags {
  readonly execArgv?: string[]
  readonly env?: NodeJS.ProcessEnv
}

/** These flags run files of the program in each thread. One that opens a device would start threads without end. */
const PRELOADS: ReadonlySet<string> = new Set(["--import", "--require", "-r"])

/** With this flag, a worker refuses to run a file. */
const INPUT_TYPE = "--input-type"

/**
 * Without options, a worker inherits all flags of the process. If some must not be inherited, the others are passed in
 * `NODE_OPTIONS`: only there does a worker accept flags of the whole process, such as `--max-old-space-size`.
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

/** Splits words into flags, each with its value, which may be a separate word. */
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

/** Splits the variable as Node.js does: at blanks, except in double quotes, where a backslash escapes a character. */
function words(variable: string): string[] {
  const found = variable.match(/(?:"(?:\\.|[^"\\])*"|[^\s"])+/g) ?? []
  return found.map((word) =>
    word.replace(/"((?:\\.|[^"\\])*)"/g, (_, quoted: string) => quoted.replace(/\\(.)/g, "$1")),
  )
}

function quote(word: string): string {
  return `"${word.replace(/["\\]/g, "\\$&")}"`
}
