// Calls actions through the official SDK as it is: a line of JSON on standard input for
// each call, a line on standard output for each answer, in any order.
const path = require("path");
const readline = require("readline");

const sdk = path.join(process.argv[2], "node_modules/tencentcloud-sdk-nodejs/tencentcloud/services");
const products = { cis: "v20180408", vpc: "v20170312", tke: "v20180525" };

function client(call) {
  const { Client } = require(path.join(sdk, call.product))[call.product][products[call.product]];
  return new Client({
    credential: { secretId: call.secretId, secretKey: call.secretKey },
    region: call.region,
    profile: {
      signMethod: call.signMethod,
      httpProfile: { reqMethod: call.reqMethod, protocol: "http://", endpoint: call.endpoint },
    },
  });
}

async function answer(call) {
  try {
    return { id: call.id, response: await client(call)[call.action](call.params) };
  } catch (e) {
    return { id: call.id, code: e.code || "", message: e.message, requestId: e.requestId || "" };
  }
}

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
});
