// promptfoo's verdict on each assertion of bench/promptfoo.py: JSON comes in and goes out.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const found = createRequire(join(folder, 'x.js')).resolve('promptfoo');
const { assertions } = (await import(pathToFileURL(found).href)).default;
const pairs = JSON.parse(await text(process.stdin));
const verdicts = [];
for (const { assertion, output, finishReason, latencyMs, cost } of pairs) {
  try {
    const said = await assertions.runAssertion({
      assertion, test: { vars: {} }, providerResponse: { output, finishReason, cost }, output, latencyMs,
    });
    verdicts.push(said.pass);
  } catch (error) {
    verdicts.push(`error: ${error.message}`);
  }
}
process.stdout.write(JSON.stringify(verdicts));
