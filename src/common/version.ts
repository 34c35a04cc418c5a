/** The package's version, for what is kept in files. A test compares it with `package.json`. */
export const VERSION = "0.1.0"
