import yaml from 'yaml'

/** YAML or JSON, as plain values. @throws Error with a message of one line */
export function parseAll(text: string): unknown[] {
  const json = parseJson(text)
  if (json !== undefined) return [json]
  return yaml.parseAllDocuments(text).map((document) => {
    const [error] = document.errors
    if (error) throw new Error(error.message.split('\n')[0])
    return document.toJS()
  })
}

/** The first document; undefined where there is none. */
export function parseOne(text: string): unknown {
  return parseAll(text)[0]
}

/** JSON is YAML, too, but ten thousand pods are read in a hundredth of the time. Where it is none, YAML has the better words. */
function parseJson(text: string): unknown {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
