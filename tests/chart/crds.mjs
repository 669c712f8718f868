// Reads a JSON list of objects of custom kinds from the file that it is given, prints a JSON list of what is wrong.
// Comes by standard input and runs where the schema packages are installed.
import { readFileSync } from 'node:fs';

const packages = {
  'cert-manager.io': 'cert-manager',
  'gateway.networking.k8s.io': 'gateway-api',
  'monitoring.coreos.com': 'prometheus-operator',
};

// A validator reads just the fields it knows, and an API server drops the others without a word. So a field that is never
// read is a mistake.
function watched(value, path, unread) {
  if (value === null || typeof value !== 'object') return value;
  const copy = Array.isArray(value) ? [] : {};
  for (const key of Object.keys(value)) {
    const child = watched(value[key], `${path}.${key}`, unread);
    unread.add(`${path}.${key}`);
    Object.defineProperty(copy, key, {
      enumerable: true,
      get() {
        unread.delete(`${path}.${key}`);
        return child;
      },
    });
  }
  return copy;
}

const failures = [];
for (const object of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
  const { apiVersion, kind, metadata } = object;
  const say = (text) => failures.push(`${kind} ${metadata.name}: ${text}`);
  const name = packages[apiVersion.split('/')[0]];
  let models;
  try {
    models = await import(`@kubernetes-models/${name}/${apiVersion}/${kind}`);
  } catch {
    say(`no schema for ${apiVersion}`);
    continue;
  }
  const unread = new Set();
  try {
    // Not on a new model, which would be a copy.
    models[kind].prototype.validate.call(watched(object, '', unread));
  } catch (error) {
    say(error.message);
    continue;
  }
  for (const path of unread) say(`unknown field ${path.slice(1)}`);
}
console.log(JSON.stringify(failures));
