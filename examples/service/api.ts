/** The HTTP interface of the example service. */
import { Schema } from "effect"
import { Aegis } from "effect-aegis"
import { HttpApi, HttpApiEndpoint, HttpApiError, HttpApiGroup } from "effect/http-api"

/** How often an article was ordered. */
export const Count = Schema.Int

export const Api = HttpApi.make("orders").add(
  HttpApiGroup.make("orders").add(
    HttpApiEndpoint.post("order", "/orders/:article", { params: { article: Schema.String }, success: Count }),
    HttpApiEndpoint.get("health", "/health", { success: Aegis.Health, error: HttpApiError.ServiceUnavailable })
  )
)
