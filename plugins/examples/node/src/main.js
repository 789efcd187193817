// A gristmill circuit plugin in JavaScript. The verbs are those of any plugin:
// export and sample serve those who build a bundle and try it, serve is how the
// host starts it.
import { copyExport, sample } from './assets.js';
import { serve } from './serve.js';

const [verb, ...args] = process.argv.slice(2);
const flag = (name) => {
  const at = args.findIndex((a) => a === `--${name}` || a === `-${name}`);
  return at < 0 ? undefined : args[at + 1];
};

function main() {
  const batch = flag('batch');
  if (batch !== undefined && batch !== '1') throw new Error(`--batch ${batch}: this circuit has room for 1 message`);
  switch (verb) {
    case 'export':
      return copyExport(flag('out'));
    case 'sample':
      return console.log(JSON.stringify(sample));
    case 'serve':
      return serve();
    default:
      throw new Error(`want the verb export, sample or serve, not ${verb}`);
  }
}

const fail = (err) => {
  console.error(`first: ${err.message}`);
  process.exit(1);
};

try {
  Promise.resolve(main()).catch(fail);
} catch (err) {
  fail(err);
}
