#!/bin/sh
# Deploys Facet to Azure Functions. Run it in Facet's folder; README.md beside it explains each command.
set -eu

# usage: deploy.sh prepare          the function app with its plan and storage, and a Key Vault
# usage: deploy.sh secret NAME      ask for a secret's value and store it in the Key Vault
# usage: deploy.sh settings         the settings, and references to the secrets
# usage: deploy.sh code             upload the functions; Azure installs their packages
# usage: deploy.sh assemble FOLDER  only put together what is uploaded

uploaded='function_app.py host.json'
# shellcheck source=infra/cloud.sh
. "$(dirname "$0")/../cloud.sh"

needs_cloud() {
    [ -n "${GROUP:-}" ] && [ -n "${APP:-}" ] && [ -n "${VAULT:-}" ] || stop "GROUP, APP and VAULT are not set." \
        "export GROUP=facet APP=my-facet VAULT=my-facet-vault (the last two are unique in all of Azure)"
}

prepare() {
    needs_cloud
    [ -n "${LOCATION:-}" ] && [ -n "${STORAGE:-}" ] || stop "LOCATION and STORAGE are not set." \
        "export LOCATION=westeurope STORAGE=myfacetstorage (3 to 24 letters and digits, unique in all of Azure)"
    az group create --name "$GROUP" --location "$LOCATION"
    az storage account create --name "$STORAGE" --resource-group "$GROUP" --location "$LOCATION" --sku Standard_LRS \
        --min-tls-version TLS1_2 --allow-blob-public-access false
    az functionapp plan create --name "$APP-plan" --resource-group "$GROUP" --location "$LOCATION" \
        --sku "${SKU:-EP1}" --is-linux true --min-instances 1 --max-burst "${MAX_INSTANCES:-5}"
    az functionapp create --name "$APP" --resource-group "$GROUP" --plan "$APP-plan" --storage-account "$STORAGE" \
        --functions-version 4 --runtime python --runtime-version 3.13 --os-type Linux --https-only true \
        --assign-identity '[system]'
    # RabbitMQ is asked how many messages wait, so that the queue alone can bring up an instance.
    az resource update --resource-group "$GROUP" --name "$APP/config/web" --resource-type Microsoft.Web/sites \
        --set properties.functionsRuntimeScaleMonitoringEnabled=1
    az keyvault show --name "$VAULT" --output none 2>/dev/null ||
        az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$LOCATION" --enable-rbac-authorization true
    vault=$(az keyvault show --name "$VAULT" --query id --output tsv)
    app=$(az functionapp identity show --name "$APP" --resource-group "$GROUP" --query principalId --output tsv)
    az role assignment create --assignee-object-id "$app" --assignee-principal-type ServicePrincipal \
        --role 'Key Vault Secrets User' --scope "$vault"
    me=$(az ad signed-in-user show --query id --output tsv)
    az role assignment create --assignee-object-id "$me" --assignee-principal-type User \
        --role 'Key Vault Secrets Officer' --scope "$vault"
}

secret() {
    needs_cloud
    ask_for "$1"
    file=$(mktemp) # mktemp's files are their owner's alone; an argument could be read by others
    trap 'rm -f "$file"' EXIT
    printf %s "$value" >"$file"
    az keyvault secret set --vault-name "$VAULT" --name "$(secret_of "$1")" --file "$file" --encoding utf-8 --output none
}

settings() {
    needs_cloud
    empty=$(sed -n 's/^ *"\([A-Za-z0-9_]*\)": "",*$/\1/p' "$rendered/settings.json" | tr '\n' ' ')
    [ -z "$empty" ] || stop "$rendered/settings.json has no value for: $empty" "fill them in"
    set -- "@$rendered/settings.json"
    while read -r name; do
        set -- "$@" "$name=@Microsoft.KeyVault(VaultName=$VAULT;SecretName=$(secret_of "$name"))"
    done <"$rendered/secrets.txt"
    az functionapp config appsettings set --name "$APP" --resource-group "$GROUP" --output none --settings "$@"
}

code() {
    needs_cloud
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    assemble "$work/app"
    (cd "$work/app" && python3 -m zipfile -c ../app.zip ./*)
    az functionapp deployment source config-zip --name "$APP" --resource-group "$GROUP" --src "$work/app.zip" \
        --build-remote true --timeout 600
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
prepare | settings | code) "$command" ;;
secret) [ $# -eq 1 ] || usage; secret "$1" ;;
assemble) [ $# -eq 1 ] || usage; assemble "$1" ;;
*) usage ;;
esac
